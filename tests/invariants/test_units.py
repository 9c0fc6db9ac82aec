"""What must hold for any units: run lengths, nearest centroids, smoothing, and the frame sample."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tongyeok.base.units import repeat, run_lengths
from tongyeok.speech2unit.codebook import Codebook, viterbi
from tongyeok.speech2unit.health_usage import tally, usage
from tongyeok.speech2unit.reservoir import Reservoir

sequences = arrays.arrays(np.int32, st.integers(0, 60), elements=st.integers(0, 5))
small = st.integers(-8, 8).map(lambda value: value / 2)  # exact in float32, so that ties are ties


@given(sequences)
def test_run_lengths_come_back(units: np.ndarray) -> None:
    """Repeating what run lengths encode gives the units back; codes never repeat, durations sum to the frames."""
    codes, durations = run_lengths(units)
    np.testing.assert_array_equal(repeat(codes, durations), units)
    assert (codes[1:] != codes[:-1]).all()
    assert durations.sum() == units.size
    assert (durations > 0).all()


@given(st.data(), st.integers(1, 12), st.integers(0, 20), st.integers(1, 4))
def test_assignment_is_the_nearest_centroid(data: st.DataObject, clusters: int, frames: int, dim: int) -> None:
    """Units are the lowest index of least distance, by brute force in float64."""
    centroids = data.draw(arrays.arrays(np.float32, (clusters, dim), elements=small))
    points = data.draw(arrays.arrays(np.float32, (frames, dim), elements=small))
    codebook = Codebook(centroids=centroids, feature="mfcc", layer=None, checkpoint="")
    exact = ((points[:, None].astype(np.float64) - centroids[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(codebook.assign(points, switch_penalty=0), exact.argmin(axis=1))


def _cost(distances: np.ndarray, units: np.ndarray, penalty: float) -> float:
    return float(distances[np.arange(len(units)), units].sum() + penalty * (units[1:] != units[:-1]).sum())


@given(st.data(), st.integers(1, 3), st.integers(1, 6), st.integers(0, 8).map(lambda value: value / 2))
def test_smoothing_finds_the_cheapest_sequence(data: st.DataObject, clusters: int, frames: int, penalty: float) -> None:
    """No sequence of units is cheaper than the one found, by trying them all."""
    distances = data.draw(arrays.arrays(np.float32, (frames, clusters), elements=small))
    found = _cost(distances, viterbi(distances, penalty=penalty), penalty)
    tried = (np.array(units) for units in itertools.product(range(clusters), repeat=frames))
    assert found == min(_cost(distances, units, penalty) for units in tried)


@given(st.data(), st.integers(1, 6), st.integers(0, 30))
def test_no_penalty_means_nearest(data: st.DataObject, clusters: int, frames: int) -> None:
    """Smoothing without a penalty costs what the nearest centroids cost."""
    distances = data.draw(arrays.arrays(np.float32, (frames, clusters), elements=small))
    units = viterbi(distances, penalty=0.0)
    np.testing.assert_array_equal(distances[np.arange(frames), units], distances.min(axis=1))


@given(st.data(), st.integers(2, 6), st.integers(2, 25))
def test_a_higher_penalty_never_switches_more(data: st.DataObject, clusters: int, frames: int) -> None:
    """The number of changes does not grow with the penalty."""
    distances = data.draw(
        arrays.arrays(np.float32, (frames, clusters), elements=st.floats(0, 8, width=16, allow_subnormal=False))
    )
    switches = [int((np.diff(viterbi(distances, penalty=penalty)) != 0).sum()) for penalty in (0.25, 1.0, 4.0, 1e6)]
    assert switches == sorted(switches, reverse=True)
    assert switches[-1] == 0


@settings(max_examples=50)
@given(st.data(), st.integers(1, 40), st.integers(0, 3))
def test_the_frame_sample_ignores_order(data: st.DataObject, size: int, seed: int) -> None:
    """Utterances in any order give the same sample, of the size asked for or all there is."""
    lengths = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=12))
    utterances = {f"u{i}": np.full((length, 2), i, np.float32) for i, length in enumerate(lengths)}
    shuffled = data.draw(st.permutations(list(utterances)))
    samples = []
    for order in (list(utterances), shuffled):
        reservoir = Reservoir(size, seed=seed)
        for utt in order:
            reservoir.add(utt, utterances[utt])
        samples.append(reservoir.sample())
    assert samples[0].tobytes() == samples[1].tobytes()
    assert len(samples[0]) == min(size, sum(lengths))


@given(st.lists(sequences, min_size=1, max_size=5))
def test_figures_of_use_stay_in_range(units: list[np.ndarray]) -> None:
    """Perplexity is at most the used codes, shares lie in 0..1, and runs count every frame."""
    counts = tally(units, clusters=6)
    found = usage(counts)
    assert (counts.runs * np.arange(len(counts.runs))).sum() == found.frames == sum(map(len, units))
    assert 0 <= found.perplexity <= found.used * (1 + 1e-9)
    assert 0 <= found.top10_share <= 1
    assert found.mean_longest_run <= found.longest_run
