"""Unit-BLEU: corpus BLEU over unit ids as words; comparable only between systems with the same codebook."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from sacrebleu.metrics.bleu import BLEU


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitBleu:
    """A corpus score in 0..100 and sacrebleu's signature of how it was computed."""

    score: float
    signature: str


def unit_bleu(
    hypotheses: Sequence[Int[np.ndarray, " units"]], references: Sequence[Int[np.ndarray, " units"]]
) -> UnitBleu:
    """Corpus BLEU-4 of unit sequences, one reference each, without tokenisation (sacrebleu, `tokenize=none`).

    Raises:
        ValueError: the two lists differ in length or are empty.
    """
    if len(hypotheses) != len(references) or not references:
        raise ValueError(f"expected as many hypotheses as references, got {len(hypotheses)} and {len(references)}")
    # `force`: sacrebleu warns of tokenised input when sentences end in a full stop, which no unit is.
    metric = BLEU(tokenize="none", force=True)
    score = metric.corpus_score([_words(units) for units in hypotheses], [[_words(units) for units in references]])
    return UnitBleu(score=float(score.score), signature=str(metric.get_signature()))


def _words(units: Int[np.ndarray, " units"]) -> str:
    return " ".join(map(str, units.tolist()))
