"""Scores of one direction: translated speech beside its two ceilings, heard by the same recogniser.

The ceilings are its scores on the reference recordings (nothing lost), and on speech resynthesised from the references'
own units (lost: what units and vocoder lose).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tongyeok.base.error_rates import cer, wer
from tongyeok.base.units import Units
from tongyeok.errors import EvaluationError
from tongyeok.evaluation import metrics
from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.speech import Trial
from tongyeok.unit2unit.tags import units_of
from tongyeok.unit2unit.unit_bleu import unit_bleu

UNDERSTOOD = 0.5  # of the chance CER; above it a transcript is nearer to some other sentence than to what was said
BLEU_BY = {"char": "char_bleu", "13a": "bleu_13a"}  # tokeniser -> the name that its BLEU is published under


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
        return units_of(self.trial.target_units)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What the recogniser heard in the translated, the resynthesised and the reference recording."""

    translated: str
    resynthesised: str
    reference: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TextScores:
    """Scores of one kind of speech, by what was heard in it.

    BLEU, chrF and chrF++ 0 to 100; WER, CER (with and without the spaces between words) and exact matches in percent.
    `bleu_by` has BLEU by the tokenisers that stand beside the headline's.
    """

    bleu: Score
    bleu_by: Mapping[str, float]
    chrf: float
    chrf_plus_plus: float
    wer: float
    cer: float
    cer_no_spaces: float
    exact: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AsrScores:
    """What the recogniser makes of a direction.

    `of_resynthesised` is translated ASR-BLEU in percent of the resynthesised, `ceiling` resynthesised in percent of the
    reference; both with intervals from the same resamples, None where the denominator is 0. `chance_cer` is the CER, in
    percent, of writing down another sentence of the test set. `signatures` are sacrebleu's, by the names that the
    figures are published under.
    """

    translated: TextScores
    resynthesised: TextScores
    reference: TextScores
    of_resynthesised: Score | None
    ceiling: Score | None
    chance_cer: float
    asr: str
    signatures: Mapping[str, str]

    @property
    def understood(self) -> bool:
        """Whether what is heard in the original speech is nearer to what was said than to another sentence.

        How alike sentences are depends on language and corpus, so that no fixed CER would do. On the default corpus
        chance has 75 % (en) to 81 % (ko), and whisper-base 2 % (en), 16 % (es) and 91 % (ko). At half of chance, errors
        spread evenly over the reference texts leave a BLEU below 1 (en, es) or 7 (ko): no room for a translation.
        """
        return self.reference.cer <= UNDERSTOOD * self.chance_cer


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectionScores:
    """All scores of a direction over `n` trials of `groups` sentences; `asr` is None where no recogniser covers it.

    A `zero_shot` direction has no pair in the translator's training data.
    """

    n: int
    groups: int
    unit_bleu: float
    unit_signature: str
    speaker_similarity: float
    asr: AsrScores | None
    zero_shot: bool = False


def score(
    outcomes: Sequence[Outcome], *, asr: str, resamples: int, seed: int, zero_shot: bool = False
) -> DirectionScores:
    """Score the trials of one direction.

    Args:
        outcomes: of one direction.
        asr: the recogniser's identity.
        resamples: of the bootstrap, by sentence group.
        seed: of the bootstrap.
        zero_shot: the translator was not trained on this direction.
    """
    found = unit_bleu([outcome.units for outcome in outcomes], [outcome.reference_units for outcome in outcomes])
    return DirectionScores(
        n=len(outcomes),
        groups=len({outcome.trial.pair.source.group for outcome in outcomes}),
        unit_bleu=found.score,
        unit_signature=found.signature,
        speaker_similarity=float(np.mean([outcome.speaker_similarity for outcome in outcomes])),
        asr=_score_text(outcomes, asr=asr, resamples=resamples, seed=seed),
        zero_shot=zero_shot,
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
    beside = metrics.tokenisers_beside(lang)
    scores = {
        kind: TextScores(
            bleu=metrics.interval(metrics.bleu(counts[kind]), resampled[kind]),
            bleu_by={tokenise: metrics.corpus_bleu(found, texts, tokenise=tokenise) for tokenise in beside},
            chrf=metrics.chrf(found, texts),
            chrf_plus_plus=metrics.chrf(found, texts, words=metrics.CHRF_PLUS_PLUS_WORDS),
            wer=wer(found, texts),
            cer=cer(found, texts),
            cer_no_spaces=cer(found, texts, spaces=False),
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
        chance_cer=metrics.chance_cer(texts, seed=seed),
        asr=asr,
        signatures=signatures(lang),
    )


def signatures(lang: str) -> dict[str, str]:
    """The signatures by sacrebleu of what is heard in a language, by the names that the figures are published under."""
    return {
        "asr_bleu": metrics.bleu_signature(metrics.tokeniser(lang)),
        **{BLEU_BY[tokenise]: metrics.bleu_signature(tokenise) for tokenise in metrics.tokenisers_beside(lang)},
        "chrf": metrics.chrf_signature(metrics.CHRF_WORDS),
        "chrf_plus_plus": metrics.chrf_signature(metrics.CHRF_PLUS_PLUS_WORDS),
    }


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
