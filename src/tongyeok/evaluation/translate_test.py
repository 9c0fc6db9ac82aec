"""Stage `translate_test`: translate the test set from units to speech, and resynthesise its references.

Speech is made from the units that the stage `units` took from the source recording, in the source speaker's voice. Each
reference is also resynthesised from its own units, with its true durations and its own speaker: the ceiling of what a
perfect translator could reach with this vocoder.
"""

import filecmp
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE, PackWriter, Samples, read_location
from tongyeok.base.files import write_json
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.units import Units, UnitSource, read_languages, run_lengths, write_units
from tongyeok.base.utterances import Utterance, read_utterances
from tongyeok.config import section
from tongyeok.engine.translation import UnitTranslator
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.speech import (
    RESYNTHESISED,
    TRANSLATED,
    Speech,
    Trial,
    chosen,
    read_trials,
    write_speech,
)
from tongyeok.evaluation.voices import embed
from tongyeok.unit2speech.speaker_encoder import DVector, load_speaker_encoder
from tongyeok.unit2speech.synthesis import UnitVocoder
from tongyeok.unit2unit.pairs import Direction
from tongyeok.unit2unit.tags import tag_of, units_of

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


def run(cfg: TranslateTestConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:  # noqa: ARG001
    """Write `units/<source>-<target>.tsv`, `speech.tsv` and its packs.

    Raises:
        EvaluationError: a direction has no test pairs, or the models were made for another bitext.
        UnitError: the vocoder speaks units of another codebook.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    utterances = read_utterances(inputs.corpus)
    pairs = chosen(cfg.directions, read_trials(inputs.bitext, utterances))
    check_dictionaries(inputs.translator, inputs.bitext)
    check_unseen(pairs, read_manifest(inputs.manifest, "test").utts)
    references = unique(row.pair.target for rows in pairs.values() for row in rows)
    source, true_units = read_languages(inputs.units, sorted({utterance.lang for utterance in references}))
    translator = UnitTranslator(inputs.translator / "checkpoint.pt", inputs.translator / DICTIONARY, device=device)
    vocoder = UnitVocoder.load(inputs.vocoder, device).folded()

    hypotheses = {
        direction: search_units(translator, [row.source_units for row in rows], cfg, tag=tag_of(rows[0].target_units))
        for direction, rows in pairs.items()
    }
    for direction, found in hypotheses.items():
        keys = [row.pair.source.utt for row in pairs[direction]]
        write_units(outputs / "units" / f"{direction}.tsv", source, dict(zip(keys, found, strict=True)))

    speakers = unique([*(row.pair.source for rows in pairs.values() for row in rows), *references])
    loads = [partial(read_location, inputs.corpus, utterance.audio) for utterance in speakers]
    vectors = embed(load_speaker_encoder(device=device), loads)
    voices = {utterance.utt: vector for utterance, vector in zip(speakers, vectors, strict=True)}

    rows = list(speak_translations(vocoder, pairs, hypotheses, voices, source=source, outputs=outputs))
    rows += speak_references(vocoder, references, true_units, voices, source=source, outputs=outputs)
    write_speech(outputs, rows)
    metrics = describe(pairs, hypotheses, rows)
    write_json(outputs / "metrics.json", metrics)
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


def speak_translations(
    vocoder: UnitVocoder,
    pairs: Mapping[Direction, Sequence[Trial]],
    hypotheses: Mapping[Direction, Sequence[Units]],
    voices: Mapping[str, DVector],
    *,
    source: UnitSource,
    outputs: Path,
) -> Iterator[Speech]:
    """Speak every hypothesis in its source speaker's voice, one pack per direction."""
    for direction, found in hypotheses.items():
        with PackWriter(outputs / f"{direction}.zip") as pack:
            utts = [row.pair.source.utt for row in pairs[direction]]
            for utt, units in tqdm(
                zip(utts, found, strict=True), total=len(utts), desc=f"speak {direction}", disable=None
            ):
                samples = say(vocoder, units, voices[utt], lang=direction.target, predict_durations=True, source=source)
                yield entry(pack, TRANSLATED, str(direction), utt, samples)


def speak_references(
    vocoder: UnitVocoder,
    references: Sequence[Utterance],
    units: Mapping[str, Units],
    voices: Mapping[str, DVector],
    *,
    source: UnitSource,
    outputs: Path,
) -> Iterator[Speech]:
    """Resynthesise every reference from its own units, durations and voice, one pack per language."""
    for lang in sorted({reference.lang for reference in references}):
        own = [reference for reference in references if reference.lang == lang]
        with PackWriter(outputs / f"{RESYNTHESISED}-{lang}.zip") as pack:
            for reference in tqdm(own, desc=f"resynthesise {lang}", disable=None):
                utt = reference.utt
                if utt not in units:
                    raise EvaluationError(f"{utt}: a test reference without units; rebuild `units`")
                samples = say(vocoder, units[utt], voices[utt], lang=lang, predict_durations=False, source=source)
                yield entry(pack, RESYNTHESISED, lang, utt, samples)


def say(
    vocoder: UnitVocoder, units: Units, voice: DVector, *, lang: str, predict_durations: bool, source: UnitSource
) -> Samples:
    """Samples of a unit sequence; none for an empty one."""
    if not units.size:
        return np.zeros(0, dtype=np.float32)
    return vocoder.synthesise(units, dvector=voice, lang=lang, predict_durations=predict_durations, source=source)


def entry(pack: PackWriter, kind: str, direction: str, utt: str, samples: Samples) -> Speech:
    """Put a clip into a pack and describe it."""
    audio = pack.add(utt, samples) if samples.size else ""
    return Speech(kind=kind, direction=direction, utt=utt, audio=audio, samples=samples.size)


def describe(
    pairs: Mapping[Direction, Sequence[Trial]],
    hypotheses: Mapping[Direction, Sequence[Units]],
    rows: Sequence[Speech],
) -> dict[str, float]:
    """Figures per direction: pairs, hypothesis units per reference unit, seconds of speech per reference second."""
    metrics: dict[str, float] = {}
    for direction, tested in pairs.items():
        spoken = sum(row.samples for row in rows if row.kind == TRANSLATED and row.direction == str(direction))
        made = sum(units.size for units in hypotheses[direction])
        wanted = sum(units_of(row.target_units).size for row in tested)
        metrics[f"{direction}/pairs"] = float(len(tested))
        metrics[f"{direction}/unit_ratio"] = made / wanted
        metrics[f"{direction}/duration_ratio"] = spoken / sum(row.pair.target.samples for row in tested)
    metrics["seconds"] = sum(row.samples for row in rows) / SAMPLE_RATE
    return metrics
