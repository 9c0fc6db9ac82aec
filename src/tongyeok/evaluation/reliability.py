"""How far the corpus's own recogniser can be trusted: its errors on recorded, made and deliberately corrupted speech.

A model trained on a small domain may guess a usual sentence instead of hearing the one that is said. So the middle
third of each reference recording is corrupted, by playing it backwards or by noise in its place: a recogniser that
hears must then make many more errors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tongyeok.base.audio import Samples
from tongyeok.base.error_rates import cer, wer
from tongyeok.base.files import write_json
from tongyeok.evaluation import metrics
from tongyeok.evaluation.asr import Load
from tongyeok.evaluation.corpus_asr import CorpusAsr
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.scores import Heard

FILE = "recognizer_errors.json"
HEADINGS = ("speech", "CER % ↓", "WER % ↓", "exact % ↑")
HOW_TO_READ = (
    "This recogniser was trained on other sentences of the same corpus and can be wrong: its error on the reference "
    "recordings is the least that any speech can reach. Where it makes hardly more errors once the middle third of "
    "each recording is corrupted, it guesses what usually is said instead of hearing what is, and must not be trusted."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechErrors:
    """Character errors, word errors and exact transcripts, in percent, on one kind of speech of one direction."""

    speech: str
    cer: float
    wer: float
    exact: float


def reverse_middle(samples: Samples) -> Samples:
    """The middle third of a recording played backwards."""
    first, last = _middle(samples)
    return np.concatenate([samples[:first], samples[first:last][::-1], samples[last:]])


def mask_middle(samples: Samples, *, seed: int) -> Samples:
    """The middle third of a recording replaced by white noise of the recording's loudness."""
    first, last = _middle(samples)
    masked = samples.copy()
    loudness = float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0
    masked[first:last] = loudness * np.random.default_rng(seed).standard_normal(last - first)
    return np.asarray(np.clip(masked, -1, 1), dtype=np.float32)


def _middle(samples: Samples) -> tuple[int, int]:
    return samples.size // 3, samples.size - samples.size // 3


def errors_by_speech(
    recogniser: CorpusAsr,
    reference: Sequence[Load],
    heard: Sequence[Heard],
    texts: Sequence[str],
    *,
    lang: str,
    name: str,
    seed: int,
) -> list[SpeechErrors]:
    """A recogniser's errors on reference, corrupted, resynthesised and translated speech of a direction.

    Args:
        recogniser: the one that is to be trusted.
        reference: recordings, trial by trial.
        heard: normalised transcripts of each trial.
        texts: normalised references.
        lang: what is spoken.
        name: of the direction, for the progress bar.
        seed: of the noise.
    """
    corruptions: dict[str, Callable[[Samples], Samples]] = {
        "reference, a third backwards": reverse_middle,
        "reference, a third noise": partial(mask_middle, seed=seed),
    }
    spoken = {"reference": [row.reference for row in heard]}
    for kind, corrupt in corruptions.items():
        clips = [partial(_corrupted, load, corrupt) for load in reference]
        found = recogniser.transcribe(clips, lang=lang, description=f"hear {name} {kind}")
        spoken[kind] = [normalise(text, lang=lang) for text in found]
    spoken["resynthesised"] = [row.resynthesised for row in heard]
    spoken["translated"] = [row.translated for row in heard]
    return [
        SpeechErrors(
            speech=kind,
            cer=cer(found, texts),
            wer=wer(found, texts),
            exact=metrics.exact(found, texts),
        )
        for kind, found in spoken.items()
    ]


def _corrupted(load: Load, corrupt: Callable[[Samples], Samples]) -> Samples:
    return corrupt(load())


def write_errors(folder: Path, errors: Mapping[str, Sequence[SpeechErrors]]) -> None:
    """Write `recognizer_errors.json`: by direction, a row for each kind of speech."""
    rounded = {
        name: [
            {key: round(value, 2) if isinstance(value, float) else value for key, value in asdict(row).items()}
            for row in found
        ]
        for name, found in errors.items()
    }
    write_json(folder / FILE, rounded)


def rows(errors: Sequence[SpeechErrors]) -> list[list[str]]:
    """The table of a recogniser's errors."""
    return [[row.speech, f"{row.cer:.1f}", f"{row.wer:.1f}", f"{row.exact:.1f}"] for row in errors]
