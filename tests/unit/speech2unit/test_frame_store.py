"""Feature frames on disk: the same bytes as extracting them, for the recordings that were stored and no others."""

from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.manifests import read_manifest
from tongyeok.errors import CheckpointError
from tongyeok.speech2unit.features import HubertExtractor, stream
from tongyeok.speech2unit.frame_store import FOLDER, INDEX, store_frames
from unit.speech2unit.toy_speech import FAKE_WIDTH, Speech, noise


def store(speech: Speech, hubert: Path, *, layer: int = 2) -> None:
    extractor = HubertExtractor(hubert / "checkpoint.pt", layer=layer)
    manifests = [read_manifest(speech.manifest, split) for split in ("train", "valid")]
    store_frames(hubert / FOLDER / str(layer), manifests, extractor.extract, width=FAKE_WIDTH, group=3)


def frames(speech: Speech, hubert: Path, *, split: str = "train", smoothing: int = 0) -> list[np.ndarray]:
    extractor = HubertExtractor(hubert / "checkpoint.pt", layer=2, smoothing=smoothing)
    return [found for _, found in stream(read_manifest(speech.manifest, split), extractor, description="")]


@pytest.mark.parametrize("smoothing", [0, 2])
def test_stored_frames_are_what_extraction_gives(speech: Speech, hubert: Path, smoothing: int) -> None:
    """To the byte, smoothed or not, and without the model."""
    before = frames(speech, hubert, smoothing=smoothing)
    store(speech, hubert)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tongyeok.engine.features.FeatureReader", None)
        after = frames(speech, hubert, smoothing=smoothing)
    assert all(one.tobytes() == other.tobytes() for one, other in zip(before, after, strict=True))


def test_another_recording_is_refused(speech: Speech, hubert: Path) -> None:
    """What was not stored is an error, not a guess; another layer is extracted as ever."""
    store(speech, hubert)
    with pytest.raises(CheckpointError, match="no frames of a recording of 16000 samples"):
        HubertExtractor(hubert / "checkpoint.pt", layer=2).extract([noise(16_000, seed=5)])
    assert len(HubertExtractor(hubert / "checkpoint.pt", layer=1).extract([noise(16_000, seed=5)])[0]) == 50


def test_a_broken_store_is_named(speech: Speech, hubert: Path) -> None:
    """Half a store is not read."""
    store(speech, hubert)
    (hubert / FOLDER / "2" / INDEX).unlink()
    with pytest.raises(CheckpointError, match="frames/2: expected stored frames"):
        HubertExtractor(hubert / "checkpoint.pt", layer=2)
