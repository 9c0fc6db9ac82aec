"""How a language uses the codebook: used codes, entropy, dominance, runs; and how two languages share it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from tongyeok.base.audio import UNIT_RATE
from tongyeok.base.units import Units, run_lengths

TOP = 10  # the most frequent units whose share shows dominance


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Counts over utterances.

    `frames[u]` counts frames of unit u, `runs[n]` runs of n equal frames (n from 0, which never occurs), `longest` is
    the sum over utterances of their longest run.
    """

    frames: Int[np.ndarray, " clusters"]
    runs: Int[np.ndarray, " lengths"]
    longest: int
    utterances: int


def tally(sequences: Iterable[Units], *, clusters: int) -> Tally:
    """Count the units and runs of unit sequences in 0..clusters - 1."""
    frames = np.zeros(clusters, dtype=np.int64)
    runs = np.zeros(1, dtype=np.int64)
    longest = utterances = 0
    for units in sequences:
        lengths = np.bincount(run_lengths(units)[1])
        frames += np.bincount(units, minlength=clusters)
        runs = _sum(runs, lengths)
        longest += max(0, len(lengths) - 1)
        utterances += 1
    return Tally(frames=frames, runs=runs, longest=longest, utterances=utterances)


def merge(tallies: Iterable[Tally]) -> Tally:
    """The tally of all utterances together; at least one tally."""
    first, *others = tallies
    for other in others:
        first = Tally(
            frames=first.frames + other.frames,
            runs=_sum(first.runs, other.runs),
            longest=first.longest + other.longest,
            utterances=first.utterances + other.utterances,
        )
    return first


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """How one language (or all together) uses the codebook.

    `entropy` is in bits, `perplexity` 2^entropy; `top10_share` the share of frames of the ten most frequent units; runs
    are in frames of 20 ms, `mean_longest_run` averaged over utterances; `units_per_second` counts after merging
    repeats.
    """

    frames: int
    used: int
    used_share: float
    entropy: float
    perplexity: float
    perplexity_share: float
    top10_share: float
    longest_run: int
    mean_longest_run: float
    units_per_second: float


def usage(counts: Tally) -> Usage:
    """The figures of a tally; one without frames uses nothing."""
    clusters, total = len(counts.frames), int(counts.frames.sum())
    used = int((counts.frames > 0).sum())
    bits = entropy(counts.frames)
    perplexity = 2**bits if total else 0.0
    return Usage(
        frames=total,
        used=used,
        used_share=used / clusters,
        entropy=bits,
        perplexity=perplexity,
        perplexity_share=perplexity / clusters,
        top10_share=float(np.sort(counts.frames)[::-1][:TOP].sum()) / max(1, total),
        longest_run=len(counts.runs) - 1,
        mean_longest_run=counts.longest / max(1, counts.utterances),
        units_per_second=UNIT_RATE * float(counts.runs.sum()) / max(1, total),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What two languages share.

    `jaccard` compares the sets of used codes; `first_shared` and `second_shared` are the shares of each language's
    frames whose unit the other uses too; `jensen_shannon` is the divergence of the unit distributions in bits, from 0
    (equal) to 1.
    """

    jaccard: float
    first_shared: float
    second_shared: float
    jensen_shannon: float


def overlap(first: Int[np.ndarray, " clusters"], second: Int[np.ndarray, " clusters"]) -> Overlap:
    """Compare the frame counts of two languages, each with at least one frame."""
    both = (first > 0) & (second > 0)
    either = (first > 0) | (second > 0)
    p, q = first / first.sum(), second / second.sum()
    return Overlap(
        jaccard=float(both.sum() / either.sum()),
        first_shared=float(p[both].sum()),
        second_shared=float(q[both].sum()),
        jensen_shannon=max(0.0, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2),
    )


def entropy(weights: Float[np.ndarray, "*any"] | Int[np.ndarray, "*any"]) -> float:
    """Entropy in bits of weights that need not sum to one; 0 where all are zero."""
    positive = weights[weights > 0]
    if positive.size == 0:
        return 0.0
    shares = positive / positive.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _sum(first: Int[np.ndarray, " lengths"], second: Int[np.ndarray, " lengths"]) -> Int[np.ndarray, " lengths"]:
    size = max(len(first), len(second))
    return np.asarray(np.pad(first, (0, size - len(first))) + np.pad(second, (0, size - len(second))))
