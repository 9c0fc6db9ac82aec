"""Stage `labels@i`: the unit of every frame, as training targets of the next HuBERT iteration.

Written as fairseq's `dump_km_label.py` writes them: `train.km` and `valid.km` with one line of unit ids per utterance,
and the dictionary `dict.km.txt` with every unit in order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int

from tongyeok.base.files import whole, write_json, write_text
from tongyeok.base.manifests import Manifest, read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.units import Units
from tongyeok.config import section
from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import matching_extractor, work_through
from tongyeok.speech2unit.shards import remove_shards, write_shards

SPLITS = ("train", "valid")


@section
class LabelsConfig:
    """One iteration of section `labels`."""

    switch_penalty: float  # cost of changing the unit, in the codebook's `switch_scale`; fairseq: 0, nearest centroid

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.switch_penalty < 0:
            raise ValueError(f"switch_penalty: expected 0 (nearest centroid) or more, got {self.switch_penalty}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The manifest, the codebook, and the HuBERT it belongs to (none for MFCC)."""

    manifest: Path
    kmeans: Path
    hubert: Path | None = None


def dictionary(clusters: int) -> str:
    """The text of `dict.km.txt`: every unit in order, with fairseq's conventional count of 1."""
    return "".join(f"{unit} 1\n" for unit in range(clusters))


def run(cfg: LabelsConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Assign and write the labels of the training and validation splits."""
    codebook = Codebook.load(inputs.kmeans / FILE)
    extractor = matching_extractor(codebook, hubert=inputs.hubert)
    write_text(outputs / "dict.km.txt", dictionary(codebook.clusters))
    metrics: dict[str, float] = {}
    shards: list[Path] = []

    def label(manifest: Manifest, description: str) -> Iterator[tuple[str, Units]]:
        assign = partial(codebook.assign, switch_penalty=cfg.switch_penalty)
        return work_through(manifest, extractor, assign, description=f"labelling {description}")

    for split in SPLITS:
        paths = write_shards(read_manifest(inputs.manifest, split), context.scratch, label, name=split)
        counts = _assemble(paths, outputs / f"{split}.km", clusters=codebook.clusters)
        shards += paths
        metrics |= {f"{split}/frames": float(counts.sum()), f"{split}/used": float((counts > 0).sum())}
    if not metrics["train/frames"]:
        raise UnitError(f"{inputs.manifest}/train.tsv: no utterances to label; check the manifest's train split")
    write_json(outputs / "metrics.json", metrics)
    remove_shards(shards)
    return metrics


def _assemble(shards: Sequence[Path], target: Path, *, clusters: int) -> Int[np.ndarray, " clusters"]:
    """Write the labels of all shards into one `.km` file and count how often each unit occurs."""
    counts = np.zeros(clusters, dtype=np.int64)
    with whole(target) as written, written.open("wb") as file:
        for path in shards:
            lines = [line.partition(b"\t")[2] for line in path.read_bytes().splitlines(keepends=True)]
            file.writelines(lines)
            counts += np.bincount(np.array(b" ".join(lines).split(), dtype=np.int64), minlength=clusters)
    return counts
