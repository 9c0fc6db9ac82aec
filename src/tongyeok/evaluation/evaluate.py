"""Stage `evaluate`: score translated speech beside its ceilings, and show what it says.

The reference recordings, their resynthesis and the translations are padded alike and heard by the same recogniser;
transcripts and reference texts are normalised alike. A clip without speech counts as an empty hypothesis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tongyeok.base.audio import Samples, read_location
from tongyeok.base.files import write_json
from tongyeok.base.stage import Context
from tongyeok.base.units import Units, read_units
from tongyeok.base.utterances import read_utterances
from tongyeok.config import section
from tongyeok.errors import EvaluationError
from tongyeok.evaluation import report
from tongyeok.evaluation.asr import AsrConfig, Load, Whisper
from tongyeok.evaluation.corpus_asr import CorpusAsr
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.published import flat, write_scores
from tongyeok.evaluation.reliability import SpeechErrors, errors_by_speech, write_errors
from tongyeok.evaluation.scores import Heard, Outcome, reference_text, score
from tongyeok.evaluation.speech import RESYNTHESISED, TRANSLATED, Trial, chosen, read_speech, read_trials
from tongyeok.evaluation.voices import embed, similarity
from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder
from tongyeok.unit2unit.pairs import directions_in


@section
class EvaluateConfig:
    """Section `evaluate`."""

    asr: AsrConfig
    resamples: int  # of the bootstrap behind the 95 % intervals
    samples_each: int  # best, median and worst trials of each direction whose audio is kept, as many of each
    seed: int  # of the bootstrap

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.resamples < 1:
            raise ValueError(f"resamples: expected at least 1, got {self.resamples}; 1000 is usual")
        if self.samples_each < 0:
            raise ValueError(f"samples_each: expected at least 0, got {self.samples_each}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Folders that this stage reads; `recognizer` where `asr.recognizer` names a language."""

    corpus: Path
    bitext: Path
    translate_test: Path
    recognizer: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What there is to score in one direction, trial by trial."""

    trials: Sequence[Trial]
    units: Sequence[Units]
    clips: report.Clips

    @property
    def lang(self) -> str:
        """What is spoken in the translations."""
        return self.trials[0].pair.target.lang


def run(cfg: EvaluateConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Write `scores.json`, `metrics.json`, `utterances.tsv`, `report.md`, `report.html`, `plots/` and `samples/`.

    For languages that the corpus's own recogniser hears, `recognizer_errors.json` tells how wrong that can be.

    Raises:
        EvaluationError: test pairs, speech and units do not belong together, or a reference lacks its text.
        CheckpointError: the recogniser cannot be had.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    directions = read_directions(inputs)
    covered = {
        name: found for name, found in directions.items() if found.lang in {*cfg.asr.languages, *cfg.asr.recognizer}
    }
    texts = {name: [reference_text(trial) for trial in found.trials] for name, found in covered.items()}
    recognisers = choose_recognisers(cfg.asr, covered, inputs, device=device, threads=context.threads)
    heard = {name: listen(recognisers[found.lang], found, name) for name, found in covered.items()}
    errors: dict[str, list[SpeechErrors]] = {}
    for name, found in covered.items():
        recogniser = recognisers[found.lang]
        if isinstance(recogniser, CorpusAsr):
            errors[name] = errors_by_speech(
                recogniser, found.clips.reference, heard[name], texts[name], lang=found.lang, name=name, seed=cfg.seed
            )
    encoder = load_speaker_encoder(device=device)

    outcomes: dict[str, list[Outcome]] = {}
    for name, found in directions.items():
        alike = similarity(embed(encoder, found.clips.source), embed(encoder, found.clips.translated))
        outcomes[name] = [
            Outcome(
                trial=trial,
                units=found.units[row],
                speaker_similarity=float(alike[row]),
                text=texts[name][row] if name in texts else "",
                heard=heard[name][row] if name in heard else None,
            )
            for row, trial in enumerate(found.trials)
        ]
    identities = {name: recognisers[found.lang].identity for name, found in covered.items()}
    trained = {str(direction) for direction in directions_in(inputs.bitext, "train")}
    scores = {
        name: score(
            rows,
            asr=identities.get(name, ""),
            resamples=cfg.resamples,
            seed=cfg.seed,
            zero_shot=name not in trained,
        )
        for name, rows in outcomes.items()
    }
    write_scores(outputs, scores)
    if errors:
        write_errors(outputs, errors)
    clips = {name: found.clips for name, found in directions.items()}
    report.write(outputs, scores, outcomes, clips, errors=errors, each=cfg.samples_each)
    metrics = flat(scores)
    write_json(outputs / "metrics.json", metrics)
    return metrics


def read_directions(inputs: Inputs) -> dict[str, Material]:
    """Everything that was translated, with its test pairs, units and clips.

    Raises:
        EvaluationError: the tables do not belong together.
    """
    speech = read_speech(inputs.translate_test)
    utterances = read_utterances(inputs.corpus)
    names = list(dict.fromkeys(row.direction for row in speech if row.kind == TRANSLATED))
    audio = {(row.kind, row.direction, row.utt): row.audio for row in speech}

    def made(kind: str, direction: str, utt: str) -> Load:
        if (kind, direction, utt) not in audio:
            raise EvaluationError(
                f"{inputs.translate_test}: no {kind} speech of {utt} ({direction}), which the bitext's test split asks "
                "for; rebuild `translate_test`"
            )
        return partial(read, inputs.translate_test, audio[kind, direction, utt])

    found = {}
    for direction, trials in chosen(names, read_trials(inputs.bitext, utterances)).items():
        name = str(direction)
        pairs = [trial.pair for trial in trials]
        _, units = read_units(inputs.translate_test / "units" / f"{name}.tsv")
        missing = [pair.source.utt for pair in pairs if pair.source.utt not in units]
        if missing:
            raise EvaluationError(f"units/{name}.tsv: no translation of {missing[0]}; rebuild `translate_test`")
        found[name] = Material(
            trials=trials,
            units=[units[pair.source.utt] for pair in pairs],
            clips=report.Clips(
                source=[partial(read, inputs.corpus, pair.source.audio) for pair in pairs],
                translated=[made(TRANSLATED, name, pair.source.utt) for pair in pairs],
                resynthesised=[made(RESYNTHESISED, direction.target, pair.target.utt) for pair in pairs],
                reference=[partial(read, inputs.corpus, pair.target.audio) for pair in pairs],
            ),
        )
    return found


def read(folder: Path, location: str) -> Samples:
    """A clip's samples; none where its location is empty."""
    return read_location(folder, location) if location else np.zeros(0, dtype=np.float32)


def choose_recognisers(
    cfg: AsrConfig, covered: Mapping[str, Material], inputs: Inputs, *, device: str, threads: int
) -> dict[str, Whisper | CorpusAsr]:
    """Who hears each language: the corpus's own recogniser where `asr.recognizer` names it, else the public model.

    Raises:
        EvaluationError: the corpus's own is asked for and was not given, or has learnt sentences that are tested.
        CheckpointError: a model cannot be had, or was not trained on the language.
    """
    languages = list(dict.fromkeys(found.lang for found in covered.values()))
    own = [lang for lang in languages if lang in cfg.recognizer]
    judges: dict[str, Whisper | CorpusAsr] = {}
    if own:
        if inputs.recognizer is None:
            raise EvaluationError(
                f"evaluate.asr.recognizer: {', '.join(own)} is to be heard by the stage `recognizer`, whose outputs "
                "were not given; compose with `tongyeok params` and run `dvc repro`, or give `--recognizer FOLDER`"
            )
        corpus_asr = CorpusAsr(inputs.recognizer, languages=own, device=device)
        corpus_asr.check_unseen(trial.pair.target for found in covered.values() for trial in found.trials)
        judges |= dict.fromkeys(own, corpus_asr)
    rest = [lang for lang in languages if lang not in own]
    if rest:
        judges |= dict.fromkeys(rest, Whisper(cfg, device=device, threads=threads))
    return judges


def listen(recogniser: Whisper | CorpusAsr, material: Material, name: str) -> list[Heard]:
    """Normalised transcripts of the three kinds of speech, trial by trial."""
    lang = material.lang
    kinds: Mapping[str, Sequence[Load]] = {
        "reference": material.clips.reference,
        "resynthesised": material.clips.resynthesised,
        "translated": material.clips.translated,
    }
    heard = {
        kind: [
            normalise(text, lang=lang)
            for text in recogniser.transcribe(clips, lang=lang, description=f"hear {name} {kind}")
        ]
        for kind, clips in kinds.items()
    }
    return [
        Heard(reference=reference, resynthesised=resynthesised, translated=translated)
        for reference, resynthesised, translated in zip(*heard.values(), strict=True)
    ]
