"""Fitting the codebook: k-means++ and full passes beside fairseq's learn_kmeans.py, on the same sampled frames.

Both cases have at least 100 frames a cluster. With a few dozen, the best of the stock's 20 starts ends lower than our
one start. The stock side is the script's own `get_km_model` with the defaults of its command line.
"""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import fairseq
import material
import numpy as np
from paired import Row, compare
from probes import gemm_peak

from tongyeok.base.manifests import read_manifest
from tongyeok.speech2unit.features import MfccExtractor, stream
from tongyeok.speech2unit.kmeans import KmeansConfig, fit
from tongyeok.speech2unit.reservoir import SLACK, Reservoir

GROUPS = 120
SCRIPT = Path(fairseq.__file__).parent / "examples" / "hubert" / "simple_kmeans" / "learn_kmeans.py"
DEFAULTS = {  # of the script's options
    "init": "k-means++",
    "max_iter": 100,
    "batch_size": 10_000,
    "tol": 0.0,
    "max_no_improvement": 100,
    "n_init": 20,
    "reassignment_ratio": 0.0,
}
MIB = 1 << 20


def rows() -> list[Row]:
    """100 clusters of the corpus's MFCC, and of 20 MFCC frames together, as wide as HuBERT base's frames."""
    return [
        _row("kmeans_fit", _mfcc(100_000), clusters=100, rounds=3),
        _row("kmeans_fit/100x780", _mfcc(10_000, neighbours=20), clusters=100, rounds=1),
    ]


def _row(name: str, frames: np.ndarray, *, clusters: int, rounds: int) -> Row:
    cfg = KmeansConfig(
        source="manifest",
        layer=None,
        smoothing=0,
        clusters=clusters,
        share=1.0,
        frames=len(frames),
        init_frames=min(20_000, len(frames)),
        max_iterations=100,
        tolerance=1e-4,
        seed=1,
    )
    script = _script()
    fitted: dict[str, np.ndarray] = {}

    def ours() -> None:
        fitted["ours"] = fit(frames, cfg)

    def stock() -> None:
        np.random.seed(0)  # noqa: NPY002  as the script does
        model = script.get_km_model(n_clusters=clusters, **DEFAULTS)
        model.verbose = 0
        fitted["stock"] = model.fit(frames).cluster_centers_

    peak, passes = gemm_peak(), 2.0 * len(frames) * frames.shape[1] * clusters
    held = (1 + 1 / SLACK) * frames.nbytes / MIB
    row = compare(
        name,
        unit="fits",
        amount=1,
        ours=ours,
        stock=stock,
        rounds=rounds,
        parity="",
        limit=lambda speed: (
            f"the distances of one pass are {passes / 1e9:.2f} G float32 operations, at oneDNN's {peak / 1e9:.0f} G "
            f"a second {passes / peak:.3f} s; ours takes as long as {peak / speed / passes:.0f} such passes, start "
            f"included. The reservoir holds {held:.0f} MiB at most, whatever the hours of speech"
        ),
    )
    return replace(row, parity=_parity(fitted, frames))


def _parity(fitted: dict[str, np.ndarray], frames: np.ndarray) -> str:
    inertia = {name: _inertia(centroids, frames) for name, centroids in fitted.items()}
    share = inertia["ours"] / inertia["stock"] - 1
    if share > 0:
        raise ValueError(f"ours ends at {share:.2%} more inertia than the stock fit")
    return f"inertia {share:+.2%} against the stock fit's, on the same {len(frames):,} frames"


def _inertia(centroids: np.ndarray, frames: np.ndarray) -> float:
    """Mean squared distance to the nearest centroid, in float64."""
    exact, sides = frames.astype(np.float64), centroids.astype(np.float64)
    distances = (sides**2).sum(axis=1) - 2 * exact @ sides.T
    return float((distances.min(axis=1) + (exact**2).sum(axis=1)).mean())


def _mfcc(count: int, *, neighbours: int = 1) -> np.ndarray:
    """MFCC frames of the corpus, each with so many that follow it: wide frames that are as alike as those of speech."""
    reservoir = Reservoir(count, seed=1)
    manifest = read_manifest(material.corpus(GROUPS) / "manifest", "train")
    for utt, frames in stream(manifest, MfccExtractor(), description="bench"):
        windows = np.lib.stride_tricks.sliding_window_view(frames, neighbours, axis=0)
        reservoir.add(utt, windows[::neighbours].reshape(-1, neighbours * frames.shape[1]))
    return reservoir.sample()


def _script() -> Any:
    os.environ["LOGLEVEL"] = "WARNING"
    spec = importlib.util.spec_from_file_location("learn_kmeans", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
