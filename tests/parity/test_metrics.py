"""Scores against sacrebleu and jiwer, which define them."""

import jiwer
import numpy as np
import pytest
import sacrebleu

from tongyeok.evaluation import metrics

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sleeps",
    "eats",
    "on",
    "under",
    "old",
    "red",
    "chair",
    "3",
    "apples",
    ",",
    ".",
    "it's",
]


@pytest.fixture
def texts() -> tuple[list[str], list[str]]:
    """200 references and hypotheses at various distances, some empty."""
    random = np.random.default_rng(5)
    references = [" ".join(random.choice(WORDS, size=random.integers(1, 14))) for _ in range(200)]
    hypotheses = []
    for reference in references:
        kept = [word for word in reference.split() if random.random() > 0.2]
        hypotheses.append(" ".join(kept if random.random() > 0.1 else random.choice(WORDS, size=random.integers(0, 9))))
    return hypotheses, references


@pytest.mark.parametrize("lang", ["en", "ko", "zh"])
def test_bleu_is_sacrebleu(texts: tuple[list[str], list[str]], lang: str) -> None:
    """Corpus BLEU from summed statistics is sacrebleu's corpus score, to the last bit."""
    hypotheses, references = texts
    wanted = sacrebleu.BLEU(lowercase=True, tokenize=metrics.tokeniser(lang)).corpus_score(hypotheses, [references])
    found = metrics.bleu(metrics.bleu_counts(hypotheses, references, lang=lang))
    print(f"largest difference: {abs(found - wanted.score)}")
    assert found == wanted.score


def test_bootstrap_is_sacrebleu(texts: tuple[list[str], list[str]]) -> None:
    """Mean and half width over 1000 resamples are those that sacrebleu prints for its own seed.

    Tolerance 1e-5: sacrebleu resamples in float32.
    """
    hypotheses, references = texts
    wanted = sacrebleu.BLEU(lowercase=True).corpus_score(hypotheses, [references], n_bootstrap=1000)
    counts = metrics.bleu_counts(hypotheses, references, lang="en")
    resampled = metrics.resampled_bleu(counts, metrics.pick(len(counts), resamples=1000, seed=12345))
    found = metrics.interval(metrics.bleu(counts), resampled)
    differences = abs(resampled.mean() - wanted._mean), abs((found.high - found.low) / 2 - wanted._ci)
    print(f"largest difference: {max(differences)}")
    assert max(differences) < 1e-5


def test_signature_is_sacrebleu() -> None:
    """The signature is the one that sacrebleu gives."""
    metric = sacrebleu.BLEU(lowercase=True)
    metric.corpus_score(["a"], [["a"]])
    assert metrics.bleu_signature("en") == str(metric.get_signature())


def test_chrf_is_sacrebleu(texts: tuple[list[str], list[str]]) -> None:
    """ChrF is sacrebleu's default, chrF2."""
    hypotheses, references = texts
    assert metrics.chrf(hypotheses, references) == sacrebleu.corpus_chrf(hypotheses, [references]).score


def test_wer_is_jiwer(texts: tuple[list[str], list[str]]) -> None:
    """WER over the corpus is jiwer's; tolerance 1e-12."""
    hypotheses, references = texts
    wanted = 100 * jiwer.wer(references, hypotheses)
    found = metrics.wer(hypotheses, references)
    print(f"largest difference: {abs(found - wanted)}")
    assert found == pytest.approx(wanted, abs=1e-12)
