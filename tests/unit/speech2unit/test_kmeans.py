"""Stage kmeans: from a manifest to a codebook, and what it refuses before fitting."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.files import sha256
from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.base.stage import silent
from tongyeok.config import build
from tongyeok.errors import ConfigError, UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.kmeans import Inputs, KmeansConfig, draw, fit, run
from unit.speech2unit.toy_speech import FAKE_WIDTH, Speech

MFCC = {
    "source": "manifest",
    "layer": None,
    "smoothing": 0,
    "clusters": 8,
    "share": 1.0,
    "frames": 400,
    "init_frames": 200,
    "max_iterations": 20,
    "tolerance": 1e-4,
    "seed": 1,
}
CONFIG = build(KmeansConfig, MFCC, where="kmeans.0")


def test_a_codebook_of_mfcc(speech: Speech, tmp_path: Path) -> None:
    """Iteration 0 clusters a sample of MFCC frames; the same inputs give the same bytes."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        metrics = run(
            CONFIG, inputs=Inputs(manifest=speech.manifest), outputs=tmp_path / name, context=silent(tmp_path)
        )
    assert metrics["frames"] == 400 < metrics["frames_seen"]
    assert metrics["used"] == 8
    assert 0 < metrics["unexplained"] < 1
    codebook = Codebook.load(tmp_path / "first" / FILE)
    assert codebook.centroids.shape == (8, 39)
    assert (codebook.feature, codebook.layer, codebook.checkpoint) == ("mfcc", None, "")
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_a_codebook_of_hubert_features(speech: Speech, hubert: Path, tmp_path: Path) -> None:
    """Later iterations cluster a HuBERT layer, and the codebook names its checkpoint."""
    cfg = replace(CONFIG, source="hubert/1", layer=2)
    run(cfg, inputs=Inputs(manifest=speech.manifest, hubert=hubert), outputs=tmp_path, context=silent(tmp_path))
    codebook = Codebook.load(tmp_path / FILE)
    assert codebook.centroids.shape == (8, FAKE_WIDTH)
    assert (codebook.feature, codebook.layer) == ("hubert", 2)
    assert codebook.checkpoint == sha256(hubert / "checkpoint.pt")


def test_a_share_of_the_utterances() -> None:
    """The drawn utterances keep their order and their rows; another seed draws others."""
    count = 20
    names = tuple(f"u{row:02}" for row in range(count))
    manifest = Manifest(root=Path("/corpus"), utts=names, locations=names, samples=tuple(range(count)))
    drawn = draw(manifest, share=0.25, seed=1)
    assert len(drawn.utts) == 5
    assert list(drawn.utts) == sorted(drawn.utts)
    assert drawn.utts == drawn.locations == tuple(names[number] for number in drawn.samples)
    assert drawn == draw(manifest, share=0.25, seed=1) != draw(manifest, share=0.25, seed=2)
    assert draw(manifest, share=1.0, seed=1) == manifest


def test_more_clusters_than_frames_are_refused() -> None:
    """K above the number of frames is refused before fitting, with both numbers."""
    with pytest.raises(UnitError, match="K = 8 is larger than the 5 frames of the training split; lower `clusters`"):
        fit(np.zeros((5, 39), np.float32), CONFIG)


def test_an_empty_training_split_is_refused(tmp_path: Path) -> None:
    """A manifest without training utterances is refused."""
    write_manifest(tmp_path / "manifest", "train", Manifest(root=tmp_path, utts=(), locations=(), samples=()))
    with pytest.raises(UnitError, match="the split is empty; check the manifest's train split"):
        run(CONFIG, inputs=Inputs(manifest=tmp_path / "manifest"), outputs=tmp_path, context=silent(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "hubert"}, "source: expected `manifest` (MFCC) or `hubert/<iteration>`, got 'hubert'"),
        ({"source": "hubert/1"}, "layer: null for source `manifest` and a layer for `hubert/<i>`, got None"),
        ({"layer": 6}, "layer: null for source `manifest` and a layer for `hubert/<i>`, got 6"),
        ({"source": "hubert/1", "layer": 0}, "layer: expected at least 1 (1-based), got 0"),
        ({"smoothing": -1}, "smoothing: expected 0 (features as they are) or more passes, got -1"),
        ({"share": 0.0}, "share: expected 0 < share <= 1, got 0.0"),
        ({"clusters": 1}, "clusters: expected at least 2, got 1"),
        ({"init_frames": 5}, "init_frames: expected clusters (8) <= init_frames <= frames (400), got 5"),
        ({"frames": 100}, "init_frames: expected clusters (8) <= init_frames <= frames (100), got 200"),
        ({"max_iterations": 0}, "max_iterations: expected at least 1, got 0"),
        ({"tolerance": 1.0}, "tolerance: expected 0 <= share < 1, got 1.0"),
    ],
)
def test_rules_of_the_section(changes: dict[str, object], message: str) -> None:
    """Each value that breaks a rule is named with the rule."""
    with pytest.raises(ConfigError) as caught:
        build(KmeansConfig, MFCC | changes, where="kmeans.0")
    assert message in str(caught.value)
