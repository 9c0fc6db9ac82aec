"""Stage `kmeans@i`: fit a codebook on a seeded sample of feature frames of the training split.

Iteration 0 clusters MFCC, iteration i > 0 a layer of HuBERT iteration i. fairseq's `learn_kmeans.py` takes all frames
of a share of the utterances and a mini-batch fit; here single frames are drawn from them, and every pass sees them all.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from tongyeok.base.files import write_json
from tongyeok.base.manifests import Manifest, read_manifest
from tongyeok.base.stage import Context
from tongyeok.config import section
from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import Extractor, open_extractor, stream
from tongyeok.speech2unit.lloyd import lloyd, start
from tongyeok.speech2unit.reservoir import Reservoir

MANIFEST = "manifest"  # the source that needs no model: MFCC


@section
class KmeansConfig:
    """One iteration of section `kmeans`."""

    source: str  # `manifest`: MFCC; `hubert/<i>`: features of HuBERT iteration i
    layer: int | None  # 1-based HuBERT layer; null for MFCC. HuBERT base: 6 after iteration 1, 9 after 2 (sec. IV-B)
    smoothing: int  # passes of a (1/4, 1/2, 1/4) filter over the features' time; paper: 0
    clusters: int  # K; HuBERT base: 100 for MFCC, then 500
    share: float  # of the training utterances, drawn by `seed`, that frames are sampled from; fairseq's `percent`
    frames: int  # frames sampled for the fit; held in memory as float32
    init_frames: int  # of these, frames that the k-means++ start looks at
    max_iterations: int  # passes over the sample at most; fairseq: 100 epochs of mini-batches
    tolerance: float  # stop when a pass lowers the inertia by less than this share
    seed: int  # of the sample and of the start

    def __post_init__(self) -> None:
        """Check the rules."""
        name, _, iteration = self.source.partition("/")
        if self.source != MANIFEST and (name != "hubert" or not iteration.isdigit()):
            raise ValueError(f"source: expected `manifest` (MFCC) or `hubert/<iteration>`, got {self.source!r}")
        if (self.layer is None) != (self.source == MANIFEST):
            raise ValueError(f"layer: null for source `manifest` and a layer for `hubert/<i>`, got {self.layer}")
        if self.layer is not None and self.layer < 1:
            raise ValueError(f"layer: expected at least 1 (1-based), got {self.layer}")
        if self.clusters < 2:  # noqa: PLR2004
            raise ValueError(f"clusters: expected at least 2, got {self.clusters}")
        if self.smoothing < 0:
            raise ValueError(f"smoothing: expected 0 (features as they are) or more passes, got {self.smoothing}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share: expected 0 < share <= 1, got {self.share}")
        if not self.clusters <= self.init_frames <= self.frames:
            raise ValueError(
                f"init_frames: expected clusters ({self.clusters}) <= init_frames <= frames ({self.frames}), "
                f"got {self.init_frames}"
            )
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations: expected at least 1, got {self.max_iterations}")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance: expected 0 <= share < 1, got {self.tolerance}")


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
    device = "cuda" if torch.cuda.is_available() else "cpu"
    first = start(frames[: cfg.init_frames], clusters=cfg.clusters, seed=cfg.seed)
    done = lloyd(frames, first, max_iterations=cfg.max_iterations, tolerance=cfg.tolerance, device=device)
    return done.centroids


def draw(manifest: Manifest, *, share: float, seed: int) -> Manifest:
    """A random share of a manifest's utterances, in its order; the same ones for the same `seed`."""
    count = len(manifest.utts)
    rows = np.sort(np.random.default_rng(seed).permutation(count)[: math.ceil(share * count)]).tolist()
    return Manifest(
        root=manifest.root,
        utts=tuple(manifest.utts[row] for row in rows),
        locations=tuple(manifest.locations[row] for row in rows),
        samples=tuple(manifest.samples[row] for row in rows),
    )


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Frames to fit on, and how many they were drawn from."""

    frames: Float[np.ndarray, "frames dim"]
    seen: int


def take_sample(cfg: KmeansConfig, manifest: Manifest, extractor: Extractor) -> Sample:
    """The frames of the training split that a codebook is fitted on; they do not depend on the number of clusters."""
    reservoir = Reservoir(cfg.frames, seed=cfg.seed)
    for utt, frames in stream(draw(manifest, share=cfg.share, seed=cfg.seed), extractor, description="sampling frames"):
        reservoir.add(utt, frames)
    return Sample(frames=reservoir.sample(), seen=reservoir.seen)


def write_codebook(cfg: KmeansConfig, sample: Sample, extractor: Extractor, outputs: Path) -> dict[str, float]:
    """Fit the codebook on the sample of the extractor's frames, write it, and return its metrics."""
    codebook = Codebook(
        centroids=fit(sample.frames, cfg),
        feature=extractor.feature,
        layer=extractor.layer,
        checkpoint=extractor.checkpoint,
        smoothing=extractor.smoothing,
    )
    metrics = {"frames_seen": float(sample.seen), **measure(codebook, sample.frames)}
    codebook.save(outputs / FILE)
    write_json(outputs / "metrics.json", metrics)
    return metrics


def run(cfg: KmeansConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:  # noqa: ARG001
    """Sample the training split's frames, fit the codebook, and write it."""
    extractor = open_extractor(hubert=inputs.hubert, layer=cfg.layer, smoothing=cfg.smoothing)
    sample = take_sample(cfg, read_manifest(inputs.manifest, "train"), extractor)
    return write_codebook(cfg, sample, extractor, outputs)
