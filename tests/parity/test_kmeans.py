"""The codebook's fit and assignment equal scikit-learn's, from the same start."""

import numpy as np
import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans

from parity.record import Record, compared
from tongyeok.speech2unit.codebook import Codebook
from tongyeok.speech2unit.lloyd import lloyd, start

CENTROIDS = 1e-4  # relative to the frames' standard deviation
INERTIA = 1e-5  # relative


def _frames(count: int, *, dim: int, seed: int, spread: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = spread * rng.standard_normal((60, dim))
    scale = np.geomspace(30, 0.3, dim)  # like MFCC: the first coefficients are large, the slopes small
    return (scale * (centres[rng.integers(60, size=count)] + rng.standard_normal((count, dim)))).astype(np.float32)


def test_full_passes_equal_scikit_learns_kmeans(record_property: Record) -> None:
    """After the same number of passes from the same start, centroids and inertia are scikit-learn's."""
    frames = _frames(20_000, dim=39, seed=0)
    first = start(frames[:2000], clusters=50, seed=0)
    theirs = KMeans(50, init=first, n_init=1, max_iter=15, tol=0, algorithm="lloyd").fit(frames)
    ours = lloyd(frames, first, max_iterations=15, tolerance=0.0, device="cpu")
    largest = float((np.abs(ours.centroids - theirs.cluster_centers_) / frames.std(axis=0)).max())
    codebook = Codebook(centroids=ours.centroids, feature="mfcc", layer=None, checkpoint="")
    inertia = _inertia(codebook.centroids, frames)
    relative = abs(inertia / (theirs.inertia_ / len(frames)) - 1)
    compared(
        record_property,
        tool="scikit-learn's `KMeans`",
        source="15 passes over 20,000 frames from the same start",
        result=f"largest difference of a centroid {largest:.1e} standard deviations, of the inertia {relative:.1e}",
    )
    assert largest < CENTROIDS
    assert relative < INERTIA


def test_full_passes_are_no_worse_than_fairseqs_mini_batches(record_property: Record) -> None:
    """On frames that overlap as those of speech do, MiniBatchKMeans with fairseq's settings does not end lower."""
    frames = _frames(20_000, dim=39, seed=1, spread=1.0)
    settings = {"max_iter": 100, "batch_size": 10_000, "n_init": 20, "max_no_improvement": 100, "tol": 0.0}
    theirs = MiniBatchKMeans(50, random_state=0, reassignment_ratio=0.0, compute_labels=False, **settings).fit(frames)
    first = start(frames[:5000], clusters=50, seed=0)
    ours = lloyd(frames, first, max_iterations=100, tolerance=1e-4, device="cpu")
    mini = _inertia(theirs.cluster_centers_, frames)
    full = _inertia(ours.centroids, frames)
    compared(
        record_property,
        tool="scikit-learn's `MiniBatchKMeans` with the settings of fairseq's `learn_kmeans.py`",
        source="20,000 frames, K = 50",
        result=f"inertia {full / mini:.4f} of the reference's",
    )
    assert full < mini


@pytest.mark.parametrize(("dim", "clusters"), [(39, 100), (192, 200)])
def test_assignment_equals_predict(dim: int, clusters: int, record_property: Record) -> None:
    """Units are scikit-learn's predictions; where rounding decides, both are within 1e-6 of the nearest distance."""
    frames = _frames(4000, dim=dim, seed=2)
    model = MiniBatchKMeans(clusters, random_state=0, n_init=1, max_iter=2, batch_size=2048).fit(frames)
    codebook = Codebook(centroids=model.cluster_centers_, feature="mfcc", layer=None, checkpoint="")
    ours, theirs = codebook.assign(frames, switch_penalty=0), model.predict(frames)
    differ = np.flatnonzero(ours != theirs)
    exact = [
        ((frames[differ].astype(np.float64) - codebook.centroids[u[differ]]) ** 2).sum(axis=1) for u in (ours, theirs)
    ]
    gap = float((np.abs(exact[0] - exact[1]) / exact[1]).max()) if differ.size else 0.0
    compared(
        record_property,
        tool="scikit-learn's `predict`",
        source=f"units of {len(frames):,} frames of {dim} dimensions, K = {clusters}",
        result=f"{differ.size} differ; largest relative gap of their distances {gap:.1e}",
    )
    assert differ.size <= 2
    assert gap < 1e-6


def _inertia(centroids: np.ndarray, frames: np.ndarray) -> float:
    exact = frames.astype(np.float64)
    distances = (centroids.astype(np.float64) ** 2).sum(axis=1) - 2 * exact @ centroids.T.astype(np.float64)
    return float((distances.min(axis=1) + (exact**2).sum(axis=1)).mean())
