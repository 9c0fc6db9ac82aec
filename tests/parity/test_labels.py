"""Label files equal those of fairseq's dump_km_label.py, byte for byte, on the same features and centroids.

The stock script runs as it is, on feature shards in fairseq's own form and a k-means model in joblib's; it has no shim.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
from sklearn.cluster import MiniBatchKMeans

from parity.record import Record, compared
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import silent
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import MfccExtractor, stream
from tongyeok.speech2unit.labels import Inputs, LabelsConfig, run
from unit.speech2unit.toy_speech import build

CLUSTERS = 25


def test_labels_equal_fairseqs(tmp_path: Path, record_property: Record) -> None:
    """`train.km` and `valid.km` are the bytes that dump_km_label.py writes, and the dictionary is its README's."""
    speech = build(tmp_path / "speech")
    features = {
        split: [frames for _, frames in stream(read_manifest(speech.manifest, split), MfccExtractor(), description="")]
        for split in ("train", "valid")
    }
    model = MiniBatchKMeans(CLUSTERS, random_state=0, n_init=2, batch_size=256).fit(np.concatenate(features["train"]))
    kmeans, ours, theirs = tmp_path / "kmeans", tmp_path / "ours", tmp_path / "theirs"
    kmeans.mkdir()
    joblib.dump(model, kmeans / "km.bin")
    Codebook(centroids=model.cluster_centers_, feature="mfcc", layer=None, checkpoint="").save(kmeans / FILE)
    ours.mkdir()
    inputs = Inputs(manifest=speech.manifest, kmeans=kmeans)
    run(LabelsConfig(switch_penalty=0.0), inputs=inputs, outputs=ours, context=silent(tmp_path))
    for split, utterances in features.items():
        _dump_km_label(tmp_path / "features", split, utterances, kmeans / "km.bin", theirs)
        stock = (theirs / f"{split}_0_1.km").read_bytes()
        written = (ours / f"{split}.km").read_bytes()
        pairs = zip(written.split(), stock.split(), strict=True)
        compared(
            record_property,
            tool="fairseq's `dump_km_label.py`",
            source=f"`{split}.km` of the same features and centroids",
            result=f"{sum(a != b for a, b in pairs)} of {len(stock.split()):,} labels differ",
        )
        assert written == stock
    script = f'for x in $(seq 0 $(({CLUSTERS} - 1))); do echo "$x 1"; done'  # simple_kmeans/README.md
    expected = subprocess.run(["bash", "-c", script], check=True, capture_output=True).stdout
    assert (ours / "dict.km.txt").read_bytes() == expected


def _dump_km_label(shards: Path, split: str, utterances: list[np.ndarray], model: Path, labels: Path) -> None:
    """Write fairseq's `<split>_0_1.{npy,len}` and run the stock script on them."""
    shards.mkdir(exist_ok=True)
    np.save(shards / f"{split}_0_1.npy", np.concatenate(utterances))
    (shards / f"{split}_0_1.len").write_text("".join(f"{len(frames)}\n" for frames in utterances))
    spec = find_spec("fairseq")
    assert spec is not None
    assert spec.origin is not None
    script = Path(spec.origin).parent / "examples" / "hubert" / "simple_kmeans" / "dump_km_label.py"
    arguments = [shards, split, model, 1, 0, labels]
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
