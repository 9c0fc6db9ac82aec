"""Stage `kmeans@i`: fit a codebook on a seeded sample of feature frames of the training split.

Iteration 0 clusters MFCC, iteration i > 0 a layer of HuBERT iteration i. The fit is scikit-learn's MiniBatchKMeans with
the settings of fairseq's `learn_kmeans.py`; the sample is drawn per frame rather than per utterance.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from sklearn.cluster import MiniBatchKMeans

from tongyeok.base.files import write_json
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context
from tongyeok.config import section
from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import open_extractor, stream
from tongyeok.speech2unit.reservoir import Reservoir

MANIFEST = "manifest"  # the source that needs no model: MFCC


@section
class KmeansConfig:
    """One iteration of section `kmeans`."""

    source: str  # `manifest`: MFCC; `hubert/<i>`: features of HuBERT iteration i
    layer: int | None  # 1-based HuBERT layer; null for MFCC. HuBERT base: 6 after iteration 1, 9 after 2 (sec. IV-B)
    clusters: int  # K; HuBERT base: 100 for MFCC, then 500
    frames: int  # frames sampled for the fit; held in memory as float32
    batch_frames: int  # frames per mini-batch; fairseq: 10000
    max_iterations: int  # passes over the sample at most; fairseq: 100
    init_runs: int  # k-means++ starts, the best is kept; fairseq: 20
    no_improvement: int  # stop after so many mini-batches without a better smoothed inertia; fairseq: 100
    reassignment_ratio: float  # clusters below this share of the largest are moved elsewhere; fairseq: 0.0, never
    seed: int  # of the sample and of the fit

    def __post_init__(self) -> None:
        """Check the rules."""
        name, _, iteration = self.source.partition("/")
        if self.source != MANIFEST and (name != "hubert" or not iteration.isdigit()):
            raise ValueError(f"source: expected `manifest` (MFCC) or `hubert/<iteration>`, got {self.source!r}")
        if (self.layer is None) != (self.source == MANIFEST):
            raise ValueError(f"layer: null for source `manifest` and a layer for `hubert/<i>`, got {self.layer}")
        if self.layer is not None and self.layer < 1:
            raise ValueError(f"layer: expected at least 1 (1-based), got {self.layer}")
        for name in ("batch_frames", "max_iterations", "init_runs", "no_improvement"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.clusters < 2:  # noqa: PLR2004
            raise ValueError(f"clusters: expected at least 2, got {self.clusters}")
        if self.frames < self.clusters:
            raise ValueError(f"frames: expected at least as many as clusters ({self.clusters}), got {self.frames}")
        if not 0 <= self.reassignment_ratio < 1:
            raise ValueError(f"reassignment_ratio: expected 0 <= ratio < 1, got {self.reassignment_ratio}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The manifest, and the HuBERT whose features are clustered (none for MFCC)."""

    manifest: Path
    hubert: Path | None = None


def fit(frames: Float[np.ndarray, "frames dim"], cfg: KmeansConfig) -> Float[np.ndarray, "clusters dim"]:
    """Centroids of `frames`; the same frames, seed and number of threads give the same bytes.

    Raises:
        UnitError: there are fewer frames than clusters.
    """
    if len(frames) < cfg.clusters:
        raise UnitError(
            f"clusters: K = {cfg.clusters} is larger than the {len(frames)} frames of the training split; "
            "lower `clusters`, or add speech"
        )
    model = MiniBatchKMeans(
        n_clusters=cfg.clusters,
        init="k-means++",
        max_iter=cfg.max_iterations,
        batch_size=cfg.batch_frames,
        compute_labels=False,
        random_state=cfg.seed,
        tol=0.0,
        max_no_improvement=cfg.no_improvement,
        n_init=cfg.init_runs,
        reassignment_ratio=cfg.reassignment_ratio,
    )
    model.fit(frames)
    return np.asarray(model.cluster_centers_, dtype=np.float32)


def measure(codebook: Codebook, frames: Float[np.ndarray, "frames dim"]) -> dict[str, float]:
    """Mean squared distance to the nearest centroid, share of variance it leaves, and centroids in use on `frames`."""
    units = codebook.assign(frames, switch_penalty=0)
    residual = frames - codebook.centroids[units]
    inertia = float((residual.astype(np.float64) ** 2).sum(axis=1).mean())
    variance = float(frames.var(axis=0, dtype=np.float64).sum())
    return {
        "frames": float(len(frames)),
        "inertia": inertia,
        "unexplained": inertia / variance if variance else 0.0,
        "used": float(len(np.unique(units))),
    }


def run(cfg: KmeansConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:  # noqa: ARG001
    """Sample the training split's frames, fit the codebook, and write it."""
    extractor = open_extractor(hubert=inputs.hubert, layer=cfg.layer)
    reservoir = Reservoir(cfg.frames, seed=cfg.seed)
    for utt, frames in stream(read_manifest(inputs.manifest, "train"), extractor, description="sampling frames"):
        reservoir.add(utt, frames)
    sample = reservoir.sample()
    codebook = Codebook(
        centroids=fit(sample, cfg), feature=extractor.feature, layer=extractor.layer, checkpoint=extractor.checkpoint
    )
    metrics = measure(codebook, sample)
    codebook.save(outputs / FILE)
    write_json(outputs / "metrics.json", metrics)
    return metrics
