"""Scores of transcripts against reference texts: BLEU with bootstrap intervals, chrF, WER, exact matches.

Texts come normalised. Corpus scores are those of sacrebleu; the bootstrap resamples sacrebleu's sentence statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

TOKENISERS = {"ja": "char", "ko": "char", "zh": "zh"}  # sacrebleu's, by target language
USUAL_TOKENISER = "13a"
ORDER = 4  # BLEU's longest n-gram
TAIL = 40  # the 95 % interval leaves out one in 40 resamples at either end, as sacrebleu does

Counts = Int[np.ndarray, "rows 10"]
Picks = Int[np.ndarray, "resamples rows"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A corpus score with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def tokeniser(lang: str) -> str:
    """The tokeniser of sacrebleu that BLEU uses for texts of a language."""
    return TOKENISERS.get(lang, USUAL_TOKENISER)


def bleu_signature(lang: str) -> str:
    """How sacrebleu computes BLEU for a language: references, case, tokeniser, smoothing, version."""
    metric = BLEU(lowercase=True, tokenize=tokeniser(lang))
    metric.corpus_score([""], [[""]])  # only then it knows the number of references
    return str(metric.get_signature())


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str], *, lang: str) -> Counts:
    """BLEU's sufficient statistics of each pair: matched n-grams, n-grams, hypothesis and reference length.

    Raises:
        ValueError: the two lists differ in length or are empty.
    """
    _check(hypotheses, references)
    metric = BLEU(lowercase=True, tokenize=tokeniser(lang), effective_order=True)  # else it warns; counts are alike
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        score = metric.sentence_score(hypothesis, [reference])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(rows, dtype=np.int64)


def bleu(counts: Counts) -> float:
    """Corpus BLEU, 0 to 100, of pairs given by their statistics."""
    return _bleu_of_sum(counts.sum(axis=0))


def pick(rows: int, *, resamples: int, seed: int) -> Picks:
    """Positions of each bootstrap resample: `rows` draws with replacement, those of sacrebleu for the same seed."""
    return np.random.default_rng(seed).choice(rows, size=(resamples, rows), replace=True)


def resampled_bleu(counts: Counts, picks: Picks) -> Float[np.ndarray, " resamples"]:
    """Corpus BLEU of every resample."""
    return np.array([_bleu_of_sum(counts[rows].sum(axis=0)) for rows in picks])


def interval(value: float, resampled: Float[np.ndarray, " resamples"]) -> Score:
    """A score with the 95 % interval of its resamples."""
    ordered = np.sort(resampled)
    cut = ordered.size // TAIL
    return Score(value=value, low=float(ordered[cut]), high=float(ordered[-cut - 1]))


def by_cluster(counts: Counts, clusters: Sequence[str]) -> Counts:
    """Statistics summed over each cluster, in order of first appearance.

    Utterances of one sentence by several speakers are not independent: the bootstrap resamples their sums.
    """
    order = {cluster: row for row, cluster in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(order), counts.shape[1]), dtype=counts.dtype)
    np.add.at(sums, [order[cluster] for cluster in clusters], counts)
    return sums


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2, 0 to 100 (Popovic 2015; sacrebleu)."""
    _check(hypotheses, references)
    return float(CHRF().corpus_score(hypotheses, [references]).score)


def sentence_chrf(hypothesis: str, reference: str) -> float:
    """chrF2 of one pair, 0 to 100."""
    return float(CHRF().sentence_score(hypothesis, [reference]).score)


def word_errors(hypothesis: str, reference: str) -> tuple[int, int]:
    """(Substitutions + insertions + deletions, words of the reference)."""
    words = reference.split()
    return int(Levenshtein.distance(hypothesis.split(), words)), len(words)


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Word error rate of a corpus in percent; above 100 where much is inserted.

    Raises:
        ValueError: the two lists differ in length or are empty, or the references hold no words.
    """
    _check(hypotheses, references)
    pairs = [word_errors(*pair) for pair in zip(hypotheses, references, strict=True)]
    words = sum(count for _, count in pairs)
    if not words:
        raise ValueError("expected references with words, got none")
    return 100 * sum(errors for errors, _ in pairs) / words


def exact(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Share of hypotheses equal to their reference, in percent."""
    _check(hypotheses, references)
    return 100 * float(np.mean([left == right for left, right in zip(hypotheses, references, strict=True)]))


def _bleu_of_sum(sums: Int[np.ndarray, " 10"]) -> float:
    correct, total = sums[:ORDER].tolist(), sums[ORDER : 2 * ORDER].tolist()
    score = BLEU.compute_bleu(correct, total, int(sums[-2]), int(sums[-1]), smooth_method="exp")
    return float(score.score)


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references) or not references:
        raise ValueError(f"expected as many hypotheses as references, got {len(hypotheses)} and {len(references)}")
