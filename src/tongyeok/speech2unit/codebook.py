"""The codebook: centroids that turn feature frames into units, stored as safetensors together with their origin."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from tongyeok.base.files import whole
from tongyeok.errors import UnitError

Feature = Literal["mfcc", "hubert"]
FILE = "codebook.safetensors"
BLOCK = 4096  # frames whose distances are held at once: 16 MiB at 1,000 clusters


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """Centroids and the features they were fitted on.

    `feature` and `layer` (1-based HuBERT layer, None for MFCC) say which features belong to it, and how many times they
    were smoothed over time; `checkpoint` is the SHA-256 of the HuBERT checkpoint file they came from, empty for MFCC.
    """

    centroids: Float[np.ndarray, "clusters dim"]
    feature: Feature
    layer: int | None
    checkpoint: str
    smoothing: int = 0

    @property
    def clusters(self) -> int:
        """The number of units."""
        return len(self.centroids)

    @cached_property
    def switch_scale(self) -> float:
        """The unit of switch penalties: the median squared distance from a centroid to its nearest other centroid.

        It is a property of the codebook alone, so that an imported codebook has it too; features of any scale are
        smoothed alike. Of the scales tried (mean distance to the nearest centroid, gap to the second nearest) it
        carries over between sizes best: on MFCC of the default corpus 16 units a second take a penalty of 1.2 at
        K = 50, 1.8 at 100, 2.5 at 200 and 3.7 at 500.
        """
        exact = self.centroids.astype(np.float64)
        squares = (exact**2).sum(axis=1)
        between = squares[:, None] + squares[None, :] - 2 * exact @ exact.T
        np.fill_diagonal(between, np.inf)
        return float(np.median(np.maximum(between.min(axis=1), 0)))

    def distances(self, features: Float[np.ndarray, "frames dim"]) -> Float[np.ndarray, "frames clusters"]:
        """Squared Euclidean distances less |frame|^2, which does not change any comparison between centroids."""
        if features.ndim != 2 or features.shape[1] != self.centroids.shape[1]:  # noqa: PLR2004  frames x dim
            raise UnitError(
                f"features of shape {features.shape} do not fit a codebook of {self.centroids.shape[1]} dimensions "
                f"({describe(self)}); use the features it was fitted on"
            )
        # By torch, whose features these are: numpy's BLAS has threads of its own, which go on spinning for a while.
        frames = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
        found: Float[np.ndarray, "frames clusters"] = torch.addmm(self._squares, frames, self._projection).numpy()
        return found

    def assign(self, features: Float[np.ndarray, "frames dim"], *, switch_penalty: float) -> Int[np.ndarray, " frames"]:
        """The unit of each frame.

        Args:
            features: frames of the kind the codebook was fitted on.
            switch_penalty: 0 gives the nearest centroid (an exact tie goes to the lowest index), as scikit-learn's
                `predict` and fairseq's `ApplyKmeans` do. Above 0, the sequence with the least sum of squared distances
                plus `switch_penalty * switch_scale` per change of unit (Kamper and van Niekerk 2021).

        Raises:
            UnitError: the features have another dimension.
        """
        starts = range(0, max(1, len(features)), BLOCK)
        if switch_penalty == 0:
            blocks = [features[start : start + BLOCK] for start in starts]
            return np.concatenate([self.decode(self.distances(block), switch_penalty=0) for block in blocks])
        return self.decode(self.distances(features), switch_penalty=switch_penalty)

    def decode(
        self, distances: Float[np.ndarray, "frames clusters"], *, switch_penalty: float
    ) -> Int[np.ndarray, " frames"]:
        """The units that `distances` lead to; `assign` tells how."""
        if switch_penalty == 0:
            return np.asarray(distances.argmin(axis=1), dtype=np.int32)
        return viterbi(distances, penalty=switch_penalty * self.switch_scale)

    def save(self, path: Path) -> None:
        """Write centroids and origin as one safetensors file; the same codebook gives the same bytes."""
        # One entry: safetensors writes several in random order.
        named = ("feature", "layer", "checkpoint", "smoothing")
        origin = {name: getattr(self, name) for name in named}
        tensors = {"centroids": np.ascontiguousarray(self.centroids, dtype=np.float32)}
        with whole(path) as partial:
            partial.write_bytes(save(tensors, metadata={"origin": json.dumps(origin)}))

    @staticmethod
    def load(path: Path) -> "Codebook":
        """Read a codebook file; loading never runs code.

        Raises:
            UnitError: the file is missing or is not a codebook.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                origin = json.loads((file.metadata() or {})["origin"])
                return Codebook(centroids=file.get_tensor("centroids"), **origin)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UnitError(f"{path}: expected a codebook (safetensors), got {error}; run the stage `kmeans`") from None

    @cached_property
    def _projection(self) -> Float[Tensor, "dim clusters"]:
        return torch.from_numpy(np.ascontiguousarray(-2 * self.centroids.T, dtype=np.float32))

    @cached_property
    def _squares(self) -> Float[Tensor, " clusters"]:
        squares: Float[np.ndarray, " clusters"] = (self.centroids.astype(np.float64) ** 2).sum(axis=1)
        return torch.from_numpy(squares.astype(np.float32))


def describe(codebook: Codebook) -> str:
    """A few words on a codebook's features, for messages."""
    if codebook.feature == "mfcc":
        return "MFCC"
    return f"HuBERT layer {codebook.layer} of checkpoint {codebook.checkpoint[:12]}"


def viterbi(distances: Float[np.ndarray, "frames clusters"], *, penalty: float) -> Int[np.ndarray, " frames"]:
    """The unit sequence with the least sum of distances plus `penalty` for each change of unit.

    A constant penalty needs no K x K transitions: the best way into unit k is to stay, or to come from the best unit of
    the frame before. Costs are kept relative to that best unit, so float32 does not drift over long recordings. Where
    staying and switching cost the same, the unit stays.
    """
    frames, clusters = distances.shape
    if frames == 0:
        return np.zeros(0, dtype=np.int32)
    best = np.zeros(frames, dtype=np.int32)
    switched = np.zeros((frames, clusters), dtype=np.bool_)
    cost: Float[np.ndarray, " clusters"] = distances[0].copy()
    for time in range(1, frames):
        best[time - 1] = cost.argmin()
        cost -= cost[best[time - 1]]
        np.greater(cost, penalty, out=switched[time])
        np.minimum(cost, penalty, out=cost)
        cost += distances[time]
    units = np.zeros(frames, dtype=np.int32)
    units[-1] = cost.argmin()
    for time in range(frames - 1, 0, -1):
        units[time - 1] = best[time - 1] if switched[time, units[time]] else units[time]
    return units
