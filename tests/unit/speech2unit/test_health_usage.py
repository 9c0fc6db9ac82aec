"""Figures of unit use, on sequences small enough to count by hand."""

import numpy as np
import pytest

from tongyeok.speech2unit.health_usage import entropy, merge, overlap, tally, usage

FIRST, SECOND = np.array([0, 0, 0, 1]), np.array([2, 2, 1, 1])


def test_usage_of_a_small_language() -> None:
    """Used codes, entropy, runs and rate are those counted by hand."""
    found = usage(tally([FIRST, SECOND], clusters=6))
    assert (found.frames, found.used, found.used_share) == (8, 3, 0.5)
    assert found.entropy == pytest.approx(-(2 * 3 / 8 * np.log2(3 / 8) + 2 / 8 * np.log2(2 / 8)))
    assert found.perplexity == pytest.approx(2**found.entropy)
    assert found.perplexity_share == pytest.approx(found.perplexity / 6)
    assert found.top10_share == 1
    assert (found.longest_run, found.mean_longest_run) == (3, 2.5)
    assert found.units_per_second == 50 * 4 / 8


def test_dominance_counts_the_ten_most_frequent() -> None:
    """The top-10 share leaves out what comes after the tenth unit."""
    assert usage(tally([np.arange(20)], clusters=40)).top10_share == 0.5
    assert usage(tally([np.arange(20)], clusters=40)).perplexity == pytest.approx(20)


def test_languages_merge_into_one() -> None:
    """Counting separately and merging equals counting together."""
    together, apart = tally([FIRST, SECOND], clusters=6), merge([tally([s], clusters=6) for s in (FIRST, SECOND)])
    assert usage(together) == usage(apart)
    np.testing.assert_array_equal(together.runs, apart.runs)


def test_nothing_uses_nothing() -> None:
    """A language without frames has zeros, not errors."""
    found = usage(tally([], clusters=4))
    assert (found.used, found.entropy, found.perplexity, found.longest_run, found.units_per_second) == (0, 0, 0, 0, 0)


def test_overlap_of_two_languages() -> None:
    """Equal languages do not diverge, disjoint ones by one bit, and shares of frames count what the other uses."""
    first, second = np.array([6, 2, 0, 0]), np.array([0, 1, 0, 3])
    found = overlap(first, second)
    assert found.jaccard == pytest.approx(1 / 3)
    assert (found.first_shared, found.second_shared) == (0.25, 0.25)
    assert 0 < found.jensen_shannon < 1
    assert overlap(first, 3 * first).jensen_shannon == pytest.approx(0)
    assert overlap(np.array([1, 0]), np.array([0, 1])).jensen_shannon == pytest.approx(1)


def test_entropy_needs_no_normalising() -> None:
    """Weights need not sum to one, and zeros count nothing."""
    assert entropy(np.array([5, 5, 0, 5, 5])) == pytest.approx(2)
    assert entropy(np.zeros(3)) == 0
