"""MFCC and their labels: the stage `labels@0` beside fairseq's dump_mfcc_feature.py and dump_km_label.py.

Both read the same packs through the same manifest and write `.km` files. Declared stand-ins on the stock side:
torchaudio's Python source for its binary, which does not load beside this torch (`tests/parity/torchaudio_source.py`),
and one `np.save` of all features for the package npy_append_array, which is not installed and cannot be quicker.
"""

import importlib.util
import os
import sys
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType, SimpleNamespace

import fairseq
import joblib
import material
import numpy as np
from paired import Row, compare
from probes import gemm_peak
from sklearn.cluster import MiniBatchKMeans

from tongyeok.base.manifests import absolute_manifest, read_manifest
from tongyeok.base.stage import silent
from tongyeok.speech2unit import labels
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import MfccExtractor, stream
from tongyeok.speech2unit.mfcc import DIM

GROUPS, CLUSTERS, ROUNDS = 120, 100, 5
SPLITS = ("train", "valid")
DIFFERENT = 1e-3  # share of the labels: the MFCC themselves differ by up to 5e-4, so near ties fall otherwise
SCRIPTS = Path(fairseq.__file__).parent / "examples" / "hubert" / "simple_kmeans"


def rows() -> list[Row]:
    """One row: 100 units, as the first HuBERT iteration has them."""
    os.environ |= {"LOGLEVEL": "WARNING", "TQDM_DISABLE": "1"}
    sys.path[:0] = [str(SCRIPTS), "tests"]
    sys.modules["npy_append_array"] = SimpleNamespace(NpyAppendArray=None)  # type: ignore[assignment]
    from parity.torchaudio_source import shim  # noqa: PLC0415  lies among the tests

    with shim():
        return [_row()]


def _row() -> Row:
    folder = Path(mkdtemp(prefix="tongyeok-bench-"))
    manifests = {split: read_manifest(material.corpus(GROUPS) / "manifest", split) for split in SPLITS}
    features = [frames for _, frames in stream(manifests["train"], MfccExtractor(), description="bench")]
    model = MiniBatchKMeans(CLUSTERS, random_state=0, n_init=1, max_iter=5).fit(np.concatenate(features))
    joblib.dump(model, folder / "km.bin")
    Codebook(centroids=model.cluster_centers_, feature="mfcc", layer=None, checkpoint="").save(folder / FILE)
    for split in SPLITS:
        absolute_manifest(material.corpus(GROUPS) / "manifest", split, folder / f"{split}.tsv")
    inputs = labels.Inputs(manifest=material.corpus(GROUPS) / "manifest", kmeans=folder)
    reader, apply = _script("dump_mfcc_feature"), _script("dump_km_label")

    def ours() -> None:
        outputs = folder / "ours"
        outputs.mkdir(exist_ok=True)
        labels.run(labels.LabelsConfig(switch_penalty=0.0), inputs=inputs, outputs=outputs, context=silent(folder))

    def stock() -> None:
        for split in SPLITS:
            generator, _ = reader.get_path_iterator(f"{folder}/{split}.tsv", 1, 0)
            mfcc = reader.MfccFeatureReader(16_000)
            found = [mfcc.get_feats(path, samples).numpy() for path, samples in generator()]
            np.save(folder / f"{split}_0_1.npy", np.concatenate(found))
            (folder / f"{split}_0_1.len").write_text("".join(f"{len(frames)}\n" for frames in found))
            apply.dump_label(folder, split, folder / "km.bin", 1, 0, folder / "stock")

    ours()
    stock()
    seconds = sum(sum(manifest.samples) for manifest in manifests.values()) / 16_000
    needed, peak = _operations(), gemm_peak()
    return compare(
        "mfcc_labels",
        unit="audio seconds",
        amount=seconds,
        ours=ours,
        stock=stock,
        rounds=ROUNDS,
        parity=_parity(folder),
        limit=lambda speed: (
            f"{needed / 1e6:.1f} M float32 operations per audio second at oneDNN's {peak / 1e9:.0f} G a second "
            f"allow {peak / needed:,.0f}; ours reaches {speed * needed / peak:.1%}: the FFT is no product"
        ),
    )


def _script(name: str) -> ModuleType:
    """A script of fairseq's as a module."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _operations() -> float:
    """Per audio second: 100 real FFTs of 512 points, mel filters, DCT, and the distances to all centroids."""
    fft, mel, dct = 2.5 * 512 * 9, 2 * 2 * 257, 2 * 23 * 13
    return 100 * (fft + mel + dct + 2 * DIM * CLUSTERS)


def _parity(folder: Path) -> str:
    differ = total = 0
    for split in SPLITS:
        ours = (folder / "ours" / f"{split}.km").read_text().splitlines()
        stock = (folder / "stock" / f"{split}_0_1.km").read_text().splitlines()
        for mine, theirs in zip(ours, stock, strict=True):
            pairs = list(zip(mine.split(), theirs.split(), strict=True))
            differ += sum(a != b for a, b in pairs)
            total += len(pairs)
    if differ > DIFFERENT * total:
        raise ValueError(f"{differ} of {total} labels differ; expected {DIFFERENT:.1%} at most")
    return f"{differ} of {total} labels differ"
