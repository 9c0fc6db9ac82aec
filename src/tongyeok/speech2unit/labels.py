"""Stage `labels@i`: the unit of every frame, as training targets of the next HuBERT iteration.

Written as fairseq's `dump_km_label.py` writes them: `train.km` and `valid.km` with one line of unit ids per utterance,
and the dictionary `dict.km.txt` with every unit in order.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.files import whole, write_json, write_text
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context
from tongyeok.config import section
from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import Extractor, matching_extractor, stream

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


def run(cfg: LabelsConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:  # noqa: ARG001
    """Assign and write the labels of the training and validation splits."""
    codebook = Codebook.load(inputs.kmeans / FILE)
    extractor = matching_extractor(codebook, hubert=inputs.hubert)
    write_text(outputs / "dict.km.txt", dictionary(codebook.clusters))
    metrics: dict[str, float] = {}
    for split in SPLITS:
        counts = _write_split(split, codebook, extractor, cfg=cfg, inputs=inputs, outputs=outputs)
        metrics |= {f"{split}/frames": float(counts.sum()), f"{split}/used": float((counts > 0).sum())}
    if not metrics["train/frames"]:
        raise UnitError(f"{inputs.manifest}/train.tsv: no utterances to label; check the manifest's train split")
    write_json(outputs / "metrics.json", metrics)
    return metrics


def _write_split(
    split: str, codebook: Codebook, extractor: Extractor, *, cfg: LabelsConfig, inputs: Inputs, outputs: Path
) -> np.ndarray:
    """Stream one split into its `.km` file and count how often each unit occurs."""
    counts = np.zeros(codebook.clusters, dtype=np.int64)
    manifest = read_manifest(inputs.manifest, split)
    with whole(outputs / f"{split}.km") as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        for _, frames in stream(manifest, extractor, description=f"labelling {split}"):
            units = codebook.assign(frames, switch_penalty=cfg.switch_penalty)
            file.write(" ".join(map(str, units.tolist())) + "\n")
            counts += np.bincount(units, minlength=codebook.clusters)
    return counts
