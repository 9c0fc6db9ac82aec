"""Streaming features: order, origin, and clear errors that name the utterance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.files import sha256
from tongyeok.base.manifests import Manifest, read_manifest, subset
from tongyeok.errors import CheckpointError, CorpusError, UnitError
from tongyeok.speech2unit.codebook import Codebook
from tongyeok.speech2unit.features import MfccExtractor, matching_extractor, open_extractor, smooth, stream
from tongyeok.speech2unit.mfcc import mfcc_frames
from unit.speech2unit.toy_speech import Speech


def test_every_utterance_streams_in_order(speech: Speech) -> None:
    """All rows of the manifest come in its order with the frames of their length, in groups or alone."""
    manifest = read_manifest(speech.manifest, "train")
    streamed = dict(stream(manifest, MfccExtractor(), description="test"))
    assert tuple(streamed) == manifest.utts
    assert [len(frames) for frames in streamed.values()] == [mfcc_frames(count) for count in manifest.samples]
    for row, utt in enumerate(manifest.utts):
        ((_, alone),) = stream(subset(manifest, [row]), MfccExtractor(), description="test")
        np.testing.assert_array_equal(alone, streamed[utt])


def test_hubert_features_name_their_checkpoint(speech: Speech, hubert: Path) -> None:
    """A HuBERT extractor carries its layer and the hash of its checkpoint, and gives samples // 320 frames."""
    extractor = open_extractor(hubert=hubert, layer=2)
    assert (extractor.feature, extractor.layer) == ("hubert", 2)
    assert extractor.checkpoint == sha256(hubert / "checkpoint.pt")
    manifest = read_manifest(speech.manifest, "valid")
    for (_, frames), samples in zip(stream(manifest, extractor, description="test"), manifest.samples, strict=True):
        assert len(frames) == samples // 320


def test_smoothing_over_time(speech: Speech, hubert: Path) -> None:
    """Each pass weighs neighbours with a quarter; edges count as their own neighbours, and constants stay."""
    frames = np.array([[0, 1], [0, 1], [8, 1], [0, 1], [0, 1]], dtype=np.float32)
    assert smooth(frames, times=0) is frames
    assert smooth(frames, times=1)[:, 0].tolist() == [0, 2, 4, 2, 0]
    assert smooth(frames, times=2).tolist() == [[0.5, 1], [2, 1], [3, 1], [2, 1], [0.5, 1]]
    manifest = read_manifest(speech.manifest, "valid")
    for folder, layer in ((None, None), (hubert, 2)):
        plain, smoothed = (
            dict(stream(manifest, open_extractor(hubert=folder, layer=layer, smoothing=times), description="test"))
            for times in (0, 2)
        )
        for utt, frames in plain.items():
            np.testing.assert_array_equal(smoothed[utt], smooth(frames, times=2))


def test_a_layer_needs_a_model_and_a_model_a_layer(tmp_path: Path, hubert: Path) -> None:
    """A layer without a folder, a folder without a layer, and a folder without a checkpoint are refused."""
    with pytest.raises(UnitError, match="layer 3 of HuBERT is wanted, but no --hubert"):
        open_extractor(hubert=None, layer=3)
    with pytest.raises(UnitError, match="MFCC features need no model"):
        open_extractor(hubert=hubert, layer=None)
    with pytest.raises(CheckpointError, match="no such checkpoint; run the stage `hubert` first"):
        open_extractor(hubert=tmp_path, layer=3)


def test_a_codebook_is_used_with_its_own_checkpoint_only(hubert: Path) -> None:
    """Another checkpoint than the codebook's is refused by its hash before it is loaded."""
    own = Codebook(
        centroids=np.zeros((2, 5), np.float32), feature="hubert", layer=2, checkpoint=sha256(hubert / "checkpoint.pt")
    )
    assert matching_extractor(own, hubert=hubert).layer == 2
    assert matching_extractor(replace(own, smoothing=3), hubert=hubert).smoothing == 3
    foreign = replace(own, checkpoint="0" * 64)
    with pytest.raises(
        UnitError, match=r"is not the checkpoint that the codebook was fitted on, 000000000000…; give that"
    ):
        matching_extractor(foreign, hubert=hubert)
    with pytest.raises(UnitError, match="no --hubert is given"):
        matching_extractor(own, hubert=None)
    with pytest.raises(UnitError, match="need no model"):
        matching_extractor(replace(own, feature="mfcc", layer=None, checkpoint=""), hubert=hubert)


class _Broken:
    feature, layer, checkpoint = "hubert", 1, ""

    def extract(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        return [np.full((2, 3), np.nan, dtype=np.float32) for _ in clips]


def test_what_cannot_be_used_names_the_utterance(speech: Speech) -> None:
    """A wrong length, too few samples and features that are not finite each name the utterance and what to do."""
    manifest = subset(read_manifest(speech.manifest, "train"), [1])
    utt = manifest.utts[0]
    longer = replace(manifest, samples=(manifest.samples[0] + 1,))
    with pytest.raises(CorpusError, match=rf"{utt}: the manifest has \d+ samples, its audio \d+; rebuild `manifest`"):
        list(stream(longer, MfccExtractor(), description="test"))
    with pytest.raises(CorpusError, match=rf"{utt}: features are not finite; check the recording"):
        list(stream(manifest, _Broken(), description="test"))


def test_a_recording_under_one_frame_is_refused(tmp_path: Path) -> None:
    """Less than 25 ms of speech is refused by name."""
    import soundfile

    soundfile.write(tmp_path / "a.flac", np.zeros(399), 16000)
    manifest = replace(_empty(tmp_path), utts=("tiny",), locations=("a.flac",), samples=(399,))
    with pytest.raises(
        CorpusError, match=r"tiny: 399 samples are less than one frame of 400; raise `manifest.min_seconds`"
    ):
        list(stream(manifest, MfccExtractor(), description="test"))


def _empty(root: Path) -> Manifest:

    return Manifest(root=root, utts=(), locations=(), samples=())
