"""Stage `translate_test`: translate the test set from units to speech, and resynthesise its references.

Speech is made from the units that the stage `units` took from the source recording, in the source speaker's voice. Each
reference is also resynthesised from its own units, with its true durations and its own speaker: the ceiling of what a
perfect translator could reach with this vocoder.
"""

import filecmp
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE, PackWriter, encode_flac, read_location
from tongyeok.base.executor import remove_shards, write_shards
from tongyeok.base.files import write_json
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.units import Units, UnitSource, read_languages, run_lengths, write_units
from tongyeok.base.utterances import Utterance, read_utterances
from tongyeok.config import section
from tongyeok.engine.threads import in_order, one_thread_each
from tongyeok.engine.translation import UnitTranslator
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.packs import Clip, Lines, Pack, pack_clips, read_clips, to_resynthesise, to_translate
from tongyeok.evaluation.speech import TRANSLATED, Speech, Trial, chosen, read_trials, write_speech
from tongyeok.unit2speech.speaker_encoder import SpeakerEncoder, load_speaker_encoder
from tongyeok.unit2speech.synthesis import UnitVocoder
from tongyeok.unit2unit.pairs import Direction
from tongyeok.unit2unit.tags import units_of

DICTIONARY = "dict.txt"


@section
class TranslateTestConfig:
    """Section `translate_test`."""

    directions: Literal["all"] | tuple[str, ...]  # such as `ko-en`; `all`: every direction of the bitext
    beam: int  # hypotheses kept per sentence; 1 is greedy
    length_penalty: float  # exponent of the length that a score is divided by; above 1 favours long hypotheses
    longest_per_token: float  # most target units per source unit, …
    longest_extra: int  # … plus this many
    batch_tokens: int  # source units, padding included, that are searched at a time

    def __post_init__(self) -> None:
        """Check the rules."""
        for name in ("beam", "batch_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")
        for name in ("longest_per_token", "longest_extra"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}; raise it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Folders that this stage reads."""

    corpus: Path
    manifest: Path
    units: Path
    bitext: Path
    translator: Path
    vocoder: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaking:
    """What every shard needs: the folders of the audio and of the models, and how to search."""

    corpus: Path
    translator: Path
    vocoder: Path
    source: UnitSource
    cfg: TranslateTestConfig

    @property
    def needs(self) -> tuple[Path, ...]:
        """The folders."""
        return self.corpus, self.translator, self.vocoder

    def open(self, *, progress: bool) -> Callable[[Lines], bytes]:
        """Load translator, vocoder and speaker encoder; lines become clips."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        translator = UnitTranslator(self.translator / "checkpoint.pt", self.translator / DICTIONARY, device=device)
        with one_thread_each(1) as loading:  # weights are worked out then, by sums that depend on threads
            vocoder = loading.submit(lambda: UnitVocoder.load(self.vocoder, device).folded()).result()
        encoder = load_speaker_encoder(device=device)

        def compute(part: Lines) -> bytes:
            return pack_clips(list(self._clips(part, translator, vocoder, encoder, progress=progress)))

        return compute

    def _clips(
        self,
        part: Lines,
        translator: UnitTranslator,
        vocoder: UnitVocoder,
        encoder: SpeakerEncoder,
        *,
        progress: bool,
    ) -> Iterator[Clip]:
        """Each clip is one thread's, so that it does not depend on the number of threads or on the other clips."""
        if part.tag is None:
            units = [np.array(text.split(), dtype=np.int32) for text in part.texts]
        else:
            units = search_units(translator, part.texts, self.cfg, tag=part.tag)

        def speak(row: int) -> Clip:
            if not units[row].size:
                return Clip(units=units[row], flac=b"", samples=0)
            samples = vocoder.synthesise(
                units[row],
                dvector=encoder.embed([read_location(self.corpus, part.voices[row])])[0],
                lang=part.lang,
                predict_durations=part.tag is not None,
                source=self.source,
            )
            return Clip(units=units[row], flac=encode_flac(samples), samples=samples.size)

        clips = in_order(speak, range(len(units)), workers=torch.get_num_threads())
        yield from tqdm(clips, total=len(units), desc=part.title, disable=None if progress else True)


def run(cfg: TranslateTestConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Write `units/<source>-<target>.tsv`, `speech.tsv` and its packs.

    Raises:
        EvaluationError: a direction has no test pairs, or the models were made for another bitext.
        UnitError: the vocoder speaks units of another codebook.
    """
    utterances = read_utterances(inputs.corpus)
    pairs = chosen(cfg.directions, read_trials(inputs.bitext, utterances))
    check_dictionaries(inputs.translator, inputs.bitext)
    check_unseen(pairs, read_manifest(inputs.manifest, "test").utts)
    references = unique(row.pair.target for rows in pairs.values() for row in rows)
    source, true_units = read_languages(inputs.units, sorted({utterance.lang for utterance in references}))
    wanted = [to_translate(direction, rows) for direction, rows in pairs.items()]
    wanted += [to_resynthesise(lang, references, true_units) for lang in sorted({row.lang for row in references})]

    parts = {name: part for pack in wanted for name, part in pack.parts().items()}
    job = Speaking(
        corpus=inputs.corpus.absolute(),
        translator=inputs.translator.absolute(),
        vocoder=inputs.vocoder.absolute(),
        source=source,
        cfg=cfg,
    )
    shards = write_shards(job, parts, executor=context.executor, scratch=context.scratch)
    by_name = {path.name: path for path in shards}

    rows: list[Speech] = []
    hypotheses: dict[str, list[Units]] = {}
    for pack in wanted:
        units: list[Units] = []
        with PackWriter(outputs / f"{pack.name}.zip") as writer:
            for name, utts in pack.utts().items():
                for utt, clip in zip(utts, read_clips(by_name[name]), strict=True):
                    units.append(clip.units)
                    rows.append(entry(writer, pack, utt, clip))
        if pack.kind == TRANSLATED:
            hypotheses[pack.direction] = units
            write_units(outputs / "units" / f"{pack.name}.tsv", source, dict(zip(pack.keys, units, strict=True)))
    write_speech(outputs, rows)
    metrics = describe(pairs, hypotheses, rows)
    write_json(outputs / "metrics.json", metrics)
    remove_shards(shards)
    return metrics


def check_dictionaries(translator: Path, bitext: Path) -> None:
    """Make sure that the translator was trained on this bitext's dictionary.

    Raises:
        EvaluationError: it was not.
    """
    if not filecmp.cmp(translator / DICTIONARY, bitext / DICTIONARY, shallow=False):
        raise EvaluationError(
            f"{translator / DICTIONARY} and {bitext / DICTIONARY} differ: the translator was trained on other units; "
            "rebuild `translator`"
        )


def check_unseen(pairs: Mapping[Direction, Sequence[Trial]], test: Sequence[str]) -> None:
    """Make sure that every trial's utterances stand in the manifest's test split.

    Raises:
        EvaluationError: one does not, so it may have been trained on.
    """
    held_out = set(test)
    for rows in pairs.values():
        for row in rows:
            for utt in (row.pair.source.utt, row.pair.target.utt):
                if utt not in held_out:
                    raise EvaluationError(
                        f"{utt}: in the bitext's test split but not in the manifest's; rebuild `bitext` from it"
                    )


def unique(utterances: Sequence[Utterance] | Iterator[Utterance]) -> list[Utterance]:
    """Each utterance once, in order of first appearance."""
    return list({utterance.utt: utterance for utterance in utterances}.values())


def search_units(
    translator: UnitTranslator, sentences: Sequence[str], cfg: TranslateTestConfig, *, tag: str
) -> list[Units]:
    """The units of each tagged sentence's translation into the language of a tag, without adjacent repeats."""
    found = translator.translate(
        sentences,
        tag=tag,
        beam=cfg.beam,
        length_penalty=cfg.length_penalty,
        longest_per_token=cfg.longest_per_token,
        longest_extra=cfg.longest_extra,
        batch_tokens=cfg.batch_tokens,
    )
    return [run_lengths(units)[0] for units in found]


def entry(writer: PackWriter, pack: Pack, utt: str, clip: Clip) -> Speech:
    """Put a clip into a pack and describe it."""
    audio = writer.add_flac(utt, clip.flac) if clip.samples else ""
    return Speech(kind=pack.kind, direction=pack.direction, utt=utt, audio=audio, samples=clip.samples)


def describe(
    pairs: Mapping[Direction, Sequence[Trial]],
    hypotheses: Mapping[str, Sequence[Units]],
    rows: Sequence[Speech],
) -> dict[str, float]:
    """Figures per direction: pairs, hypothesis units per reference unit, seconds of speech per reference second."""
    metrics: dict[str, float] = {}
    for direction, tested in pairs.items():
        spoken = sum(row.samples for row in rows if row.kind == TRANSLATED and row.direction == str(direction))
        made = sum(units.size for units in hypotheses[str(direction)])
        wanted = sum(units_of(row.target_units).size for row in tested)
        metrics[f"{direction}/pairs"] = float(len(tested))
        metrics[f"{direction}/unit_ratio"] = made / wanted
        metrics[f"{direction}/duration_ratio"] = spoken / sum(row.pair.target.samples for row in tested)
    metrics["seconds"] = sum(row.samples for row in rows) / SAMPLE_RATE
    return metrics
