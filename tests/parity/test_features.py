"""HuBERT features equal those of fairseq's own reader, whatever the layer, the padding and the company."""

import importlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from tongyeok.base.audio import UNIT_HOP
from tongyeok.engine.features import FeatureReader
from tongyeok.errors import CheckpointError, CorpusError
from unit.speech2unit.small_hubert import CONVOLUTIONS, LAYERS, WIDTH, write_checkpoint

TOLERANCE = 1e-4  # absolute, on layer-normalised float32 features of unit variance


def _clip(samples: int, seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def _reference(checkpoint: Path, clip: np.ndarray, layer: int) -> np.ndarray:
    """What fairseq's GSLM `HubertFeatureReader.get_feats` returns for the samples of a file (use_cuda=False)."""
    module = importlib.import_module("fairseq.examples.textless_nlp.gslm.speech2unit.pretrained.hubert_feature_reader")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        reader = module.HubertFeatureReader(str(checkpoint), layer, use_cuda=False)
    reader.read_audio = lambda *_: clip
    return reader.get_feats("unused").numpy()


@pytest.fixture(scope="module", params=sorted(CONVOLUTIONS))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hubert")
    return write_checkpoint(folder / "checkpoint.pt", convolutions=CONVOLUTIONS[request.param])


@pytest.mark.parametrize("layer", [1, 2, LAYERS])
def test_features_equal_fairseqs_reader(checkpoint: Path, layer: int, record_property: Record) -> None:
    """Every layer's frames are the reference reader's, on the bare samples and on samples padded by 40 on each side."""
    reader = FeatureReader(checkpoint, layer=layer, device="cpu")
    clip = _clip(16_123, seed=1)
    bare, expected_bare = reader.extract_unpadded(clip), _reference(checkpoint, clip, layer)
    padded, expected_padded = reader.extract(clip), _reference(checkpoint, np.pad(clip, 40), layer)
    for name, found, expected in (("bare", bare, expected_bare), ("padded", padded, expected_padded)):
        assert found.shape == expected.shape
        worst = float(np.abs(found - expected).max())
        compared(
            record_property,
            tool="fairseq's GSLM `HubertFeatureReader`",
            source=f"layer {layer} of a small HuBERT, {name} samples",
            result=f"largest difference {worst:.1e}",
        )
        assert worst < TOLERANCE, f"{name}: largest difference {worst:.2e}"
    assert float(expected_bare.std()) > 0.5, "features without variance would equal anything"


@pytest.mark.parametrize("changes", [{"normalize": True, "layer_norm": True}])
def test_large_models_features_equal_fairseqs_reader(tmp_path: Path, changes: dict, record_property: Record) -> None:
    """Models with layer norm in the convolutions and normalised audio (HuBERT large) are read as the reference does."""
    path = write_checkpoint(tmp_path / "large.pt", convolutions=CONVOLUTIONS["base"], **changes)
    clip = _clip(9_000, seed=2)
    found = FeatureReader(path, layer=2, device="cpu").extract_unpadded(clip)
    worst = float(np.abs(found - _reference(path, clip, 2)).max())
    compared(
        record_property,
        tool="fairseq's GSLM `HubertFeatureReader`",
        source="layer 2 of a small HuBERT with normalised samples and layer norms, as the large model has them",
        result=f"largest difference {worst:.1e}",
    )
    assert worst < TOLERANCE, f"largest difference {worst:.2e}"


@pytest.mark.parametrize("samples", [320, 321, 639, 640, 16_000, 16_319])
def test_there_are_exactly_samples_over_hop_frames(checkpoint: Path, samples: int) -> None:
    """A recording has samples // 320 frames, from the shortest on."""
    frames = FeatureReader(checkpoint, layer=1, device="cpu").extract(_clip(samples, seed=samples))
    assert frames.shape == (samples // UNIT_HOP, WIDTH)
    assert frames.dtype == np.float32


def test_batched_equals_single(checkpoint: Path) -> None:
    """Clips of different lengths taken together have the frames that each has alone."""
    reader = FeatureReader(checkpoint, layer=LAYERS, device="cpu")
    clips = [_clip(samples, seed=samples) for samples in (16_000, 9_321, 16_000, 640, 4_000)]
    single = [reader.extract(clip) for clip in clips]
    for name, batch in (("door", reader.extract_batch(clips)), ("together", reader.extract_together(clips))):
        worst = max(float(np.abs(one - many).max()) for one, many in zip(single, batch, strict=True))
        print(f"{name}: largest difference {worst:.1e}")
        assert worst < TOLERANCE, f"{name}: largest difference {worst:.2e}"


def test_the_number_of_threads_does_not_change_a_bit(checkpoint: Path) -> None:
    """Each clip of a batch is computed by one thread, however many there are; the caller keeps its own number."""
    clips = [_clip(samples, seed=samples) for samples in (16_000, 9_321, 640)]
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(FeatureReader(checkpoint, layer=LAYERS, device="cpu").extract_batch(clips))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_long_recordings_are_read_in_stretches(checkpoint: Path) -> None:
    """Beyond 100 s the stretches' frames follow one another, without a frame too few."""
    reader = FeatureReader(checkpoint, layer=1, device="cpu")
    stretch = 5_000 * UNIT_HOP
    clip = _clip(stretch + 3_300, seed=5)
    frames = reader.extract(clip)
    assert len(frames) == clip.size // UNIT_HOP
    np.testing.assert_array_equal(frames[5_000:], reader.extract(clip[stretch:]))


def test_what_cannot_be_read_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    """A layer the model lacks, a clip below one frame and a file that is no checkpoint are named."""
    with pytest.raises(CheckpointError, match=r"layer 4 is wanted \(1-based\), the model has 3"):
        FeatureReader(checkpoint, layer=4, device="cpu")
    with pytest.raises(CorpusError, match="expected at least 320 mono samples"):
        FeatureReader(checkpoint, layer=1, device="cpu").extract(_clip(319, seed=0))
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no zip")
    with pytest.raises(CheckpointError, match=r"broken\.pt: not a fairseq checkpoint that loads safely"):
        FeatureReader(broken, layer=1, device="cpu")
