"""Codebooks as the scikit-learn models in joblib files that fairseq's `simple_kmeans` writes and reads, and back."""

from pathlib import Path

import joblib
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from tongyeok.base.files import sha256, whole
from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import Codebook
from tongyeok.speech2unit.mfcc import DIM

FITTED = {"batch_size": 10_000, "max_iter": 100, "n_init": 20, "max_no_improvement": 100, "reassignment_ratio": 0.0}


def export_kmeans(codebook: Codebook, target: Path) -> None:
    """Write `km.bin`, whose `cluster_centers_` and `predict` serve `dump_km_label.py` and GSLM's quantiser.

    The model carries the settings of `learn_kmeans.py`. The origin of the codebook has no place in it.

    Raises:
        UnitError: the codebook is of smoothed features, which fairseq's tools do not compute.
    """
    if codebook.smoothing:
        raise UnitError(
            f"codebook of features smoothed {codebook.smoothing} times: fairseq's tools do not smooth, so that their "
            "labels would not be ours; fit one with `smoothing: 0`"
        )
    model = MiniBatchKMeans(codebook.clusters, compute_labels=False, **FITTED)
    model.cluster_centers_ = np.ascontiguousarray(codebook.centroids, dtype=np.float32)
    model.n_features_in_ = codebook.centroids.shape[1]
    model._n_threads = 1  # noqa: SLF001  what `fit` would set, for `predict`
    with whole(target) as partial:
        joblib.dump(model, partial)


def import_kmeans(source: Path, *, layer: int | None, checkpoint: Path | None, allow_pickle: bool) -> Codebook:
    """Read someone's `km.bin` as a codebook.

    Args:
        source: a joblib file; reading it runs whatever code its author put there.
        layer: 1-based HuBERT layer that it was fitted on; None for MFCC.
        checkpoint: the HuBERT checkpoint that it was fitted on; None for MFCC.
        allow_pickle: that its author is trusted so far.

    Raises:
        UnitError: not allowed, not a k-means model, or layer, checkpoint and dimensions do not go together.
    """
    if not allow_pickle:
        raise UnitError(
            f"{source}: a joblib file runs its author's code when it is read; if you trust them, add --allow-pickle"
        )
    if (layer is None) != (checkpoint is None):
        raise UnitError("--layer and --checkpoint: expected both (features of HuBERT) or neither (MFCC)")
    if not source.is_file():
        raise UnitError(f"{source}: no such file; expected a km.bin of `learn_kmeans.py`")
    model = joblib.load(source)
    found = getattr(model, "cluster_centers_", None)
    if not isinstance(found, np.ndarray) or found.ndim != 2:  # noqa: PLR2004  clusters x dim
        raise UnitError(f"{source}: expected a fitted k-means model, got {type(model).__name__}")
    if layer is None and found.shape[1] != DIM:
        raise UnitError(
            f"{source}: expected {DIM} dimensions (MFCC with deltas), got {found.shape[1]}; if it was fitted on a "
            "HuBERT, give --layer and --checkpoint"
        )
    return Codebook(
        centroids=np.ascontiguousarray(found, dtype=np.float32),
        feature="mfcc" if layer is None else "hubert",
        layer=layer,
        checkpoint="" if checkpoint is None else sha256(checkpoint),
    )
