"""Full-batch k-means: it converges, keeps every cluster in use, and repeats byte for byte."""

import numpy as np
import pytest
import torch

from tongyeok.speech2unit.lloyd import BLOCK, added_by_row, added_in_segments, lloyd, start


def _blobs(count: int, *, clusters: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 10 * rng.standard_normal((clusters, 3))
    return (centres[rng.integers(clusters, size=count)] + rng.standard_normal((count, 3))).astype(np.float32)


def test_separate_blobs_are_found() -> None:
    """Well separated clusters are recovered: the inertia is that of the noise, three dimensions of variance 1."""
    frames = _blobs(4000, clusters=8)
    fit = lloyd(frames, start(frames, clusters=8, seed=0), max_iterations=50, tolerance=0.0, device="cpu")
    assert fit.inertia[-1] == pytest.approx(3.0, abs=0.1)


def test_inertia_never_rises_and_tolerance_stops() -> None:
    """Each pass is at least as good as the one before; a tolerance ends the fit earlier."""
    frames = _blobs(BLOCK + 1000, clusters=40, seed=1)
    first = start(frames[:500], clusters=40, seed=0)
    fit = lloyd(frames, first, max_iterations=60, tolerance=0.0, device="cpu")
    assert (np.diff(fit.inertia) <= 1e-4).all()
    loose = lloyd(frames, first, max_iterations=60, tolerance=0.05, device="cpu")
    assert len(loose.inertia) < len(fit.inertia)
    assert loose.inertia == fit.inertia[: len(loose.inertia)]


def test_an_empty_cluster_moves_to_the_farthest_frame() -> None:
    """A centroid that no frame is near to takes over the frame that was worst off."""
    frames = np.array([[0.0], [0.1], [0.2], [9.0]], dtype=np.float32)
    fit = lloyd(frames, np.array([[0.1], [1000.0]], dtype=np.float32), max_iterations=9, tolerance=0.0, device="cpu")
    np.testing.assert_allclose(fit.centroids, [[0.1], [9.0]], rtol=1e-6)


def test_fewer_distinct_frames_than_clusters_do_no_harm() -> None:
    """Where all frames sit on centroids (digital silence), spare centroids stay finite and stay put."""
    frames = np.zeros((10, 2), dtype=np.float32)
    fit = lloyd(frames, np.array([[0, 0], [5, 5]], dtype=np.float32), max_iterations=3, tolerance=0.0, device="cpu")
    np.testing.assert_array_equal(fit.centroids, [[0, 0], [5, 5]])
    assert fit.inertia[-1] == 0


def test_same_frames_same_bytes() -> None:
    """The same frames and seed give the same centroids, byte for byte; another seed starts elsewhere."""
    frames = _blobs(3000, clusters=20)
    fits = [
        lloyd(frames, start(frames, clusters=25, seed=seed), max_iterations=9, tolerance=0.0, device="cpu")
        for seed in (3, 3, 4)
    ]
    assert fits[0].centroids.tobytes() == fits[1].centroids.tobytes() != fits[2].centroids.tobytes()


def test_both_ways_of_adding_give_the_same_bytes() -> None:
    """Frames added one by one and added in segments, as on a GPU, make the same sums; an empty cluster's is 0."""
    frames = torch.from_numpy(_blobs(3000, clusters=5))
    labels = torch.randint(0, 7, (3000,), generator=torch.Generator().manual_seed(0))
    labels[labels == 4] = 5
    by_row, in_segments = added_by_row(frames, labels, 7), added_in_segments(frames, labels, 7)
    assert torch.equal(by_row, in_segments)
    assert not by_row[4].any()
    assert by_row[5].any()
