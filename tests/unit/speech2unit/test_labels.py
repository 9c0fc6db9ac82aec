"""Stage labels: files as fairseq reads them; equality with fairseq's script is in parity/test_labels.py."""

from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import silent
from tongyeok.config import build
from tongyeok.errors import ConfigError, UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.labels import Inputs, LabelsConfig, run
from tongyeok.speech2unit.mfcc import mfcc_frames
from unit.speech2unit.toy_speech import FAKE_WIDTH, Speech


def _codebook(folder: Path, *, dim: int, clusters: int = 6, **origin: object) -> Path:
    centroids = 10 * np.random.default_rng(0).standard_normal((clusters, dim)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    given = {"feature": "mfcc", "layer": None, "checkpoint": ""} | origin
    Codebook(centroids=centroids, **given).save(folder / FILE)
    return folder


def test_labels_fit_the_manifest(speech: Speech, tmp_path: Path) -> None:
    """One line per utterance, one label per MFCC frame, every unit in the dictionary; a penalty makes labels calmer."""
    kmeans = _codebook(tmp_path / "kmeans", dim=39)
    switches = []
    for penalty in (0.0, 5.0):
        inputs = Inputs(manifest=speech.manifest, kmeans=kmeans)
        metrics = run(LabelsConfig(switch_penalty=penalty), inputs=inputs, outputs=tmp_path, context=silent(tmp_path))
        for split in ("train", "valid"):
            lines = (tmp_path / f"{split}.km").read_text(encoding="ascii").splitlines()
            expected = [mfcc_frames(samples) for samples in read_manifest(speech.manifest, split).samples]
            assert [len(line.split(" ")) for line in lines] == expected
            assert metrics[f"{split}/frames"] == sum(expected)
        labels = [np.array(line.split(), dtype=int) for line in lines]
        assert all(0 <= label.min() <= label.max() < 6 for label in labels)
        switches.append(sum(int((np.diff(label) != 0).sum()) for label in labels))
    assert switches[1] < switches[0]
    assert (tmp_path / "dict.km.txt").read_text() == "0 1\n1 1\n2 1\n3 1\n4 1\n5 1\n"
    assert not (tmp_path / "test.km").exists()


def test_labels_of_another_checkpoint_are_refused(speech: Speech, hubert: Path, tmp_path: Path) -> None:
    """A codebook that was fitted on another checkpoint's features writes nothing."""
    kmeans = _codebook(tmp_path / "kmeans", dim=FAKE_WIDTH, feature="hubert", layer=2, checkpoint="0" * 64)
    outputs = tmp_path / "labels"
    outputs.mkdir()
    inputs = Inputs(manifest=speech.manifest, kmeans=kmeans, hubert=hubert)
    with pytest.raises(UnitError, match="is not the checkpoint that the codebook was fitted on"):
        run(LabelsConfig(switch_penalty=0.0), inputs=inputs, outputs=outputs, context=silent(tmp_path))
    assert list(outputs.iterdir()) == []


def test_a_negative_penalty_is_refused() -> None:
    """The penalty is at least 0."""
    with pytest.raises(ConfigError, match=r"switch_penalty: expected 0 \(nearest centroid\) or more, got -1.0"):
        build(LabelsConfig, {"switch_penalty": -1.0}, where="labels.0")
