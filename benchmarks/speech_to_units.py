"""Speech to units: HuBERT's features and the nearest centroid, as the stage `units` does it and as the guide does it.

The stock side is the reader of fairseq's `examples/textless_nlp/gslm` (`use_cuda=False`), one file at a time, and
scikit-learn's `predict`, as its `quantize_with_kmeans.py` calls them. Both sides read the same FLAC files, that carry
the margin of 40 samples of silence on either side that our stage adds by itself: the checkpoint is the same, so are the
centroids, and the units must be.
"""

import dataclasses
import importlib
import warnings
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import joblib
import material
import numpy as np
import soundfile
import torch
import yaml
from fairseq.data import Dictionary
from fairseq.models.hubert.hubert import HubertConfig, HubertModel
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig
from omegaconf import OmegaConf
from paired import Row, compare
from probes import gemm_peak
from sklearn.cluster import MiniBatchKMeans
from torch.utils.flop_counter import FlopCounterMode

from tongyeok import config
from tongyeok.base.audio import read_location
from tongyeok.base.files import sha256
from tongyeok.base.manifests import Manifest, read_manifest, subset
from tongyeok.engine import hubert
from tongyeok.speech2unit.codebook import Codebook
from tongyeok.speech2unit.features import HubertExtractor, stream
from tongyeok.speech2unit.units import encode

MARGIN = 40  # samples of silence: the stock reader pads nothing, our stage so much on either side
GROUPS = 120  # of sentences of the default corpus
FITTED = 64  # clips whose frames the centroids are fitted on
NEAR_TIE = 1e-5  # of a frame's square: squared distances so near are a matter of float32's rounding


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A size of HuBERT: the layer that is read, the number of units, and what of the corpus is read."""

    name: str
    layer: int
    clusters: int
    clips: int
    rounds: int
    model: dict[str, Any]


def rows() -> list[Row]:
    """HuBERT base up to layer 6 with 500 units, the demo's up to layer 2 with 200: random weights, real speech."""
    demo = yaml.safe_load(Path("conf/hubert/demo.yaml").read_text(encoding="utf-8"))["1"]
    cfg = config.build(hubert.HubertConfig, demo, where="conf/hubert/demo.yaml")
    values = hubert.fairseq_config(cfg, data=Path(), labels=Path(), label_rate=50)["model"]
    known = {key: value for key, value in values.items() if key in HubertConfig.__dataclass_fields__}
    cases = (
        Case(name="speech_to_units_demo", layer=2, clusters=200, clips=160, rounds=5, model=known),
        Case(name="speech_to_units_base", layer=6, clusters=500, clips=16, rounds=5, model={}),
    )
    return [_row(case) for case in cases]


def _row(case: Case) -> Row:
    folder = Path(mkdtemp(prefix="tongyeok-bench-", dir=material.corpus(GROUPS)))
    checkpoint = _write_checkpoint(folder / "checkpoint.pt", case.model)
    manifest = subset(read_manifest(material.corpus(GROUPS) / "manifest", "train"), range(case.clips))
    files = _padded_files(manifest, folder)
    reader = _stock_reader(checkpoint, case.layer)
    sample = subset(read_manifest(material.corpus(GROUPS) / "manifest", "train"), range(FITTED))
    extractor = HubertExtractor(checkpoint, layer=case.layer)
    features = [frames for _, frames in stream(sample, extractor, description="bench")]
    model = MiniBatchKMeans(case.clusters, random_state=0, n_init=1, max_iter=5).fit(np.concatenate(features))
    joblib.dump(model, folder / "km.bin")
    predict = joblib.load(folder / "km.bin").predict
    codebook = Codebook(
        centroids=model.cluster_centers_, feature="hubert", layer=case.layer, checkpoint=sha256(checkpoint)
    )

    def ours() -> list[np.ndarray]:
        return [units for _, units in encode(manifest, codebook, extractor, switch_penalty=0, description="bench")]

    def stock() -> list[np.ndarray]:
        return [predict(reader.get_feats(str(path)).numpy()) for path in files]

    seconds = sum(manifest.samples) / 16_000
    peak, needed = gemm_peak(), _operations(reader, files[0], manifest.samples[0]) * seconds
    return compare(
        case.name,
        unit="audio seconds",
        amount=seconds,
        ours=ours,
        stock=stock,
        rounds=case.rounds,
        parity=_parity(ours(), [reader.get_feats(str(path)).numpy() for path in files], model),
        limit=lambda speed: (
            f"{needed / seconds / 1e9:.2f} G float32 operations per audio second at oneDNN's {peak / 1e9:.0f} G a "
            f"second allow {peak * seconds / needed:.0f}; ours reaches {speed * needed / seconds / peak:.0%}"
        ),
    )


def _write_checkpoint(path: Path, values: dict[str, Any]) -> Path:
    """What fairseq's trainer leaves: a HuBERT with random weights, its configuration, its task and a dictionary."""
    dictionary = Dictionary()
    for label in range(100):
        dictionary.add_symbol(str(label))
    cfg = HubertConfig(label_rate=50.0, **values)
    task = HubertPretrainingConfig(data=".", labels=["km"], label_rate=50.0)
    torch.manual_seed(0)
    model = HubertModel(OmegaConf.structured(cfg), task, [dictionary])
    state = {
        "args": None,
        "cfg": {
            "model": dataclasses.asdict(cfg) | {"_name": "hubert"},
            "task": dataclasses.asdict(task) | {"_name": "hubert_pretraining"},
        },
        "model": model.state_dict(),
        "optimizer_history": [{"num_updates": 1, "lr_scheduler_state": {}, "optimizer_name": "FairseqAdam"}],
        "task_state": {"dictionaries": [dictionary]},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
    }
    torch.save(state, path)
    return path


def _stock_reader(checkpoint: Path, layer: int) -> Any:
    module = importlib.import_module("fairseq.examples.textless_nlp.gslm.speech2unit.pretrained.hubert_feature_reader")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module.HubertFeatureReader(str(checkpoint), layer, use_cuda=False)


def _padded_files(manifest: Manifest, folder: Path) -> list[Path]:
    """One FLAC file a clip, as the guide has them, with the silence that our stage adds."""
    paths = [folder / f"{utt}.flac" for utt in manifest.utts]
    for path, location in zip(paths, manifest.locations, strict=True):
        soundfile.write(path, np.pad(read_location(manifest.root, location), MARGIN), 16_000, subtype="PCM_16")
    return paths


def _operations(reader: Any, path: Path, samples: int) -> float:
    """Float operations per audio second: two per multiplication of a product, for one clip, as the reader takes it."""
    with FlopCounterMode(display=False) as counter:
        reader.get_feats(str(path))
    return counter.get_total_flops() / (samples / 16_000)


def _parity(ours: list[np.ndarray], frames: list[np.ndarray], model: MiniBatchKMeans) -> str:
    """How many units differ from `predict`; each must be a near tie by the stock reader's own frames, in float64."""
    if [len(units) for units in ours] != [len(each) for each in frames]:
        raise ValueError("the two sides have not the same number of units for every clip")
    mine, every = np.concatenate(ours), np.concatenate(frames)
    theirs = model.predict(every)
    at = np.flatnonzero(mine != theirs)
    exact = every[at].astype(np.float64)
    near, other = (((exact - model.cluster_centers_[units[at]]) ** 2).sum(axis=1) for units in (theirs, mine))
    gap = float((np.abs(other - near) / (exact**2).sum(axis=1)).max()) if at.size else 0.0
    if gap > NEAR_TIE:
        raise ValueError(f"{at.size} of {mine.size} units differ, by {gap:.1e} of a frame's square: no near tie")
    ties = f", near ties: squared distances differ by {gap:.0e} of the frame's square at most" if at.size else ""
    return f"{at.size} of {mine.size:,} units differ{ties}"
