"""Scores of transcripts against reference texts: BLEU with bootstrap intervals, chrF, chrF++, exact matches.

Texts come normalised. Corpus scores are those of sacrebleu; the bootstrap resamples sacrebleu's sentence statistics.
Korean words carry endings, so that n-grams of words punish good output: Korean BLEU counts morphemes (`ko-mecab`), with
BLEU over characters beside it, and over words as others report it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from tongyeok.base.error_rates import cer, check_pairs

TOKENISERS = {"ja": "char", "ko": "ko-mecab", "zh": "zh"}  # sacrebleu's, by target language
USUAL_TOKENISER = "13a"
TOKENISERS_BESIDE = {"ko": ("char", "13a")}  # of further figures; 13a is what seamless (2023) scores Korean with
CHRF_WORDS = 0  # longest word n-gram of chrF
CHRF_PLUS_PLUS_WORDS = 2  # the same of chrF++ (Popovic 2017)
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


def tokenisers_beside(lang: str) -> tuple[str, ...]:
    """The tokenisers of sacrebleu whose BLEU stands beside the headline's, where words alone mislead."""
    return TOKENISERS_BESIDE.get(lang, ())


def bleu_metric(tokenise: str, *, effective_order: bool = False) -> BLEU:
    """BLEU as sacrebleu computes it, without regard to case."""
    return BLEU(lowercase=True, tokenize=tokenise, effective_order=effective_order)


def bleu_signature(tokenise: str) -> str:
    """How sacrebleu computes BLEU with a tokeniser: references, case, tokeniser, smoothing, version."""
    metric = bleu_metric(tokenise)
    metric.corpus_score([""], [[""]])  # only then it knows the number of references
    return str(metric.get_signature())


def chrf_signature(words: int) -> str:
    """How sacrebleu computes chrF with word n-grams up to `words`."""
    metric = CHRF(word_order=words)
    metric.corpus_score([""], [[""]])
    return str(metric.get_signature())


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str], *, lang: str) -> Counts:
    """Sufficient statistics of each pair for a language's BLEU: matched n-grams, n-grams, both lengths.

    Raises:
        ValueError: the two lists differ in length or are empty.
    """
    check_pairs(hypotheses, references)
    metric = bleu_metric(tokeniser(lang), effective_order=True)  # else it warns; counts are alike
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        score = metric.sentence_score(hypothesis, [reference])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(rows, dtype=np.int64)


def bleu(counts: Counts) -> float:
    """Corpus BLEU, 0 to 100, of pairs given by their statistics."""
    return _bleu_of_sum(counts.sum(axis=0))


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str], *, tokenise: str) -> float:
    """Corpus BLEU, 0 to 100, with a tokeniser of sacrebleu."""
    check_pairs(hypotheses, references)
    return float(bleu_metric(tokenise).corpus_score(hypotheses, [references]).score)


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


def chrf(hypotheses: Sequence[str], references: Sequence[str], *, words: int = CHRF_WORDS) -> float:
    """Corpus chrF2, 0 to 100 (Popovic 2015; sacrebleu); chrF++ with word n-grams up to 2."""
    check_pairs(hypotheses, references)
    return float(CHRF(word_order=words).corpus_score(hypotheses, [references]).score)


def sentence_chrf(hypothesis: str, reference: str) -> float:
    """chrF2 of one pair, 0 to 100."""
    return float(CHRF().sentence_score(hypothesis, [reference]).score)


def exact(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Share of hypotheses equal to their reference, in percent."""
    check_pairs(hypotheses, references)
    return 100 * float(np.mean([left == right for left, right in zip(hypotheses, references, strict=True)]))


def chance_cer(references: Sequence[str], *, seed: int) -> float:
    """CER of a recogniser that does not listen and writes down another sentence of the same test set, in percent.

    Each distinct sentence is compared with the next in a shuffled circle; 100, as for silence, where there is only one.

    Args:
        references: normalised texts, in any order and number of copies.
        seed: of the circle.
    """
    distinct = sorted(set(references))
    circle = [distinct[place] for place in np.random.default_rng(seed).permutation(len(distinct))]
    return cer([*circle[1:], circle[0]], circle) if len(circle) > 1 else 100.0


def _bleu_of_sum(sums: Int[np.ndarray, " 10"]) -> float:
    correct, total = sums[:ORDER].tolist(), sums[ORDER : 2 * ORDER].tolist()
    score = BLEU.compute_bleu(correct, total, int(sums[-2]), int(sums[-1]), smooth_method="exp")
    return float(score.score)
