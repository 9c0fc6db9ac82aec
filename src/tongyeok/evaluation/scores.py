"""Scores of one direction: translated speech beside its two ceilings, heard by the same recogniser.

The ceilings are its scores on the reference recordings (nothing lost), and on speech resynthesised from the references'
own units (lost: what units and vocoder lose).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.files import write_json
from tongyeok.base.units import Units
from tongyeok.errors import EvaluationError
from tongyeok.evaluation import metrics
from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.speech import Trial
from tongyeok.unit2unit.unit_bleu import unit_bleu

FILE = "scores.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One trial and what came of it.

    `heard` are normalised transcripts, None where the recogniser does not cover the language; `text` is the normalised
    reference.
    """

    trial: Trial
    units: Units
    speaker_similarity: float
    text: str
    heard: "Heard | None"

    @property
    def reference_units(self) -> Units:
        """The reference's units, without adjacent repeats."""
        return np.array(self.trial.target_units.split()[1:], dtype=np.int32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What the recogniser heard in the translated, the resynthesised and the reference recording."""

    translated: str
    resynthesised: str
    reference: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TextScores:
    """Scores of one kind of speech, by what was heard in it. BLEU, chrF 0 to 100; WER and exact matches in percent."""

    bleu: Score
    chrf: float
    wer: float
    exact: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AsrScores:
    """What the recogniser makes of a direction.

    `of_resynthesised` is translated ASR-BLEU in percent of the resynthesised, `ceiling` resynthesised in percent of the
    reference; both with intervals from the same resamples, None where the denominator is 0.
    """

    translated: TextScores
    resynthesised: TextScores
    reference: TextScores
    of_resynthesised: Score | None
    ceiling: Score | None
    asr: str
    signature: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectionScores:
    """All scores of a direction over `n` trials of `groups` sentences; `asr` is None where no recogniser covers it."""

    n: int
    groups: int
    unit_bleu: float
    unit_signature: str
    speaker_similarity: float
    asr: AsrScores | None


def score(outcomes: Sequence[Outcome], *, asr: str, resamples: int, seed: int) -> DirectionScores:
    """Score the trials of one direction.

    Args:
        outcomes: of one direction.
        asr: the recogniser's identity.
        resamples: of the bootstrap, by sentence group.
        seed: of the bootstrap.
    """
    found = unit_bleu([outcome.units for outcome in outcomes], [outcome.reference_units for outcome in outcomes])
    return DirectionScores(
        n=len(outcomes),
        groups=len({outcome.trial.pair.source.group for outcome in outcomes}),
        unit_bleu=found.score,
        unit_signature=found.signature,
        speaker_similarity=float(np.mean([outcome.speaker_similarity for outcome in outcomes])),
        asr=_score_text(outcomes, asr=asr, resamples=resamples, seed=seed),
    )


def _score_text(outcomes: Sequence[Outcome], *, asr: str, resamples: int, seed: int) -> AsrScores | None:
    heard = [outcome.heard for outcome in outcomes if outcome.heard is not None]
    if len(heard) < len(outcomes):
        return None
    texts = [outcome.text for outcome in outcomes]
    lang = outcomes[0].trial.pair.target.lang
    groups = [outcome.trial.pair.source.group for outcome in outcomes]
    kinds = {
        "translated": [row.translated for row in heard],
        "resynthesised": [row.resynthesised for row in heard],
        "reference": [row.reference for row in heard],
    }
    counts = {
        kind: metrics.by_cluster(metrics.bleu_counts(found, texts, lang=lang), groups) for kind, found in kinds.items()
    }
    picks = metrics.pick(len(set(groups)), resamples=resamples, seed=seed)
    resampled = {kind: metrics.resampled_bleu(rows, picks) for kind, rows in counts.items()}
    scores = {
        kind: TextScores(
            bleu=metrics.interval(metrics.bleu(counts[kind]), resampled[kind]),
            chrf=metrics.chrf(found, texts),
            wer=metrics.wer(found, texts),
            exact=metrics.exact(found, texts),
        )
        for kind, found in kinds.items()
    }

    def share(part: str, whole: str) -> Score | None:
        if not scores[whole].bleu.value or not resampled[whole].all():
            return None
        value = 100 * scores[part].bleu.value / scores[whole].bleu.value
        return metrics.interval(value, 100 * resampled[part] / resampled[whole])

    return AsrScores(
        **scores,
        of_resynthesised=share("translated", "resynthesised"),
        ceiling=share("resynthesised", "reference"),
        asr=asr,
        signature=metrics.bleu_signature(lang),
    )


def reference_text(trial: Trial) -> str:
    """The normalised text of a trial's reference.

    Raises:
        EvaluationError: it has none, or nothing that is ever spoken.
    """
    target = trial.pair.target
    text = normalise(target.text, lang=target.lang)
    if not text:
        raise EvaluationError(
            f"{target.utt}: a test reference in {target.lang} without text cannot be compared with a transcript; add "
            "its text to the corpus, or take the language out of evaluate.asr.languages"
        )
    return text


def public(scores: DirectionScores) -> dict[str, object]:
    """A direction as it stands in `scores.json`; figures of the recogniser are null where it does not cover it.

    `signature` is that of ASR-BLEU, or of unit-BLEU where there is no ASR-BLEU.
    """
    asr = scores.asr
    return {
        "n": scores.n,
        "asr_bleu": asr and _round(asr.translated.bleu.value),
        "asr_bleu_interval": asr and [_round(asr.translated.bleu.low), _round(asr.translated.bleu.high)],
        "asr_bleu_resynthesised": asr and _round(asr.resynthesised.bleu.value),
        "asr_bleu_reference": asr and _round(asr.reference.bleu.value),
        "chrf": asr and _round(asr.translated.chrf),
        "wer": asr and _round(asr.translated.wer),
        "exact": asr and _round(asr.translated.exact),
        "unit_bleu": _round(scores.unit_bleu),
        "speaker_similarity": round(scores.speaker_similarity, 4),
        "asr": asr and asr.asr,
        "signature": asr.signature if asr else scores.unit_signature,
    }


def write_scores(folder: Path, scores: Mapping[str, DirectionScores]) -> None:
    """Write `scores.json`."""
    write_json(folder / FILE, {"directions": {direction: public(row) for direction, row in scores.items()}})


def read_scores(folder: Path) -> dict[str, dict[str, object]]:
    """The directions in `scores.json`, each with the keys of `public`.

    Raises:
        EvaluationError: the file is missing or malformed.
    """
    path = folder / FILE
    try:
        directions: dict[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))["directions"]
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no scores yet; run `dvc repro evaluate`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path}: not a file of scores ({error}); run `dvc repro evaluate`") from None
    return directions


def flat(scores: Mapping[str, DirectionScores]) -> dict[str, float]:
    """The figures that are compared between runs, by `direction/figure`."""
    found: dict[str, float] = {}
    for direction, row in scores.items():
        values = {"unit_bleu": row.unit_bleu, "speaker_similarity": row.speaker_similarity}
        if row.asr:
            values |= {
                "asr_bleu": row.asr.translated.bleu.value,
                "asr_bleu_resynthesised": row.asr.resynthesised.bleu.value,
                "asr_bleu_reference": row.asr.reference.bleu.value,
                "chrf": row.asr.translated.chrf,
                "wer": row.asr.translated.wer,
                "exact": row.asr.translated.exact,
            }
            if row.asr.of_resynthesised:
                values["of_resynthesised"] = row.asr.of_resynthesised.value
            if row.asr.ceiling:
                values["ceiling"] = row.asr.ceiling.value
        found |= {f"{direction}/{name}": round(value, 4) for name, value in sorted(values.items())}
    return found


def _round(value: float) -> float:
    return round(value, 2)
