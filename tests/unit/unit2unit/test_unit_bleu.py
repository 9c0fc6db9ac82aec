"""Unit-BLEU."""

import numpy as np
import pytest
import sacrebleu

from tongyeok.unit2unit.unit_bleu import unit_bleu


def test_equal_sequences_score_100() -> None:
    """A perfect translation has BLEU 100."""
    units = [np.arange(9), np.arange(5)]
    assert unit_bleu(units, units).score == pytest.approx(100)


def test_it_is_sacrebleu_without_tokenisation() -> None:
    """The score is sacrebleu's corpus BLEU over unit ids as words, and the signature says so."""
    rng = np.random.default_rng(0)
    references = [rng.integers(0, 100, 30) for _ in range(8)]
    hypotheses = [np.where(rng.random(30) < 0.8, units, 7) for units in references]
    found = unit_bleu(hypotheses, references)
    texts = [[" ".join(map(str, units)) for units in side] for side in (hypotheses, references)]
    assert found.score == sacrebleu.corpus_bleu(texts[0], [texts[1]], tokenize="none", force=True).score
    assert "tok:none" in found.signature


def test_lists_of_other_lengths_are_refused() -> None:
    """Hypotheses and references must be as many."""
    with pytest.raises(ValueError, match="as many hypotheses as references, got 1 and 2"):
        unit_bleu([np.arange(3)], [np.arange(3)] * 2)
