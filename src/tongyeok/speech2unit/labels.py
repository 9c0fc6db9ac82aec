"""Stage `labels@i`: the unit of every frame, as training targets of the next HuBERT iteration.

Written as fairseq's `dump_km_label.py` writes them: `train.km` and `valid.km` with one line of unit ids per utterance,
and the dictionary `dict.km.txt` with every unit in order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int

from tongyeok.base.executor import remove_shards, write_shards
from tongyeok.base.files import whole, write_json, write_text
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context
from tongyeok.config import section
from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import matching_extractor, work_through
from tongyeok.speech2unit.shards import Models, Stretch, cut, lines

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelling(Models):
    """How a shard's labels are computed."""

    def open(self, *, progress: bool) -> Callable[[Stretch], bytes]:
        """Load codebook and HuBERT; a stretch becomes lines of labels."""
        codebook = Codebook.load(self.kmeans / FILE)
        extractor = matching_extractor(codebook, hubert=self.hubert)
        assign = partial(codebook.assign, switch_penalty=self.switch_penalty)

        def compute(part: Stretch) -> bytes:
            title = f"labelling {part.title}" if progress else None
            return lines(work_through(part.manifest, extractor, assign, description=title))

        return compute


def dictionary(clusters: int) -> str:
    """The text of `dict.km.txt`: every unit in order, with fairseq's conventional count of 1."""
    return "".join(f"{unit} 1\n" for unit in range(clusters))


def run(cfg: LabelsConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Assign and write the labels of the training and validation splits."""
    clusters = Codebook.load(inputs.kmeans / FILE).clusters
    job = Labelling(
        kmeans=inputs.kmeans.absolute(),
        hubert=inputs.hubert and inputs.hubert.absolute(),
        audio=read_manifest(inputs.manifest, SPLITS[0]).root,
        switch_penalty=cfg.switch_penalty,
    )
    shards = write_shards(job, cut(inputs.manifest, SPLITS), executor=context.executor, scratch=context.scratch)
    write_text(outputs / "dict.km.txt", dictionary(clusters))
    metrics: dict[str, float] = {}
    for split in SPLITS:
        own = [path for path in shards if path.name.startswith(f"{split}-")]
        counts = _assemble(own, outputs / f"{split}.km", clusters=clusters)
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
