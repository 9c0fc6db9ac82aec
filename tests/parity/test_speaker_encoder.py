"""d-vectors are resemblyzer's: by golden values of the untouched package, and by its code run here with shims."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from tongyeok.errors import CheckpointError
from tongyeok.unit2speech.mel import MelSpectrogram
from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder, partial_starts, raise_volume, weights_path

GOLDEN = Path(__file__).parent / "golden" / "librosa_mel.npz"


@pytest.fixture
def resemblyzer(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Its own modules; shims: webrtcvad and a name scipy moved (both unused here), librosa (our mel, see test_mel)."""
    mel = MelSpectrogram(sample_rate=16_000, fft_samples=400, hop=160, mels=40)

    def melspectrogram(*, y: np.ndarray, sr: int, n_fft: int, hop_length: int, n_mels: int) -> np.ndarray:
        assert (sr, n_fft, hop_length, n_mels) == (16_000, 400, 160, 40)
        return np.asarray(mel(torch.from_numpy(y)).numpy())

    shims: dict[str, dict[str, Any]] = {
        "webrtcvad": {},
        "librosa": {"feature": SimpleNamespace(melspectrogram=melspectrogram)},
        "scipy.ndimage.morphology": {"binary_dilation": None},
    }
    for name, members in shims.items():
        shim = ModuleType(name)
        shim.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, shim)
    package = find_spec("resemblyzer")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent
    holder = module_from_spec(ModuleSpec("resemblyzer", None, origin=package.origin, is_package=True))
    holder.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "resemblyzer", holder)
    loaded = {}
    for name in ("hparams", "audio", "voice_encoder"):
        spec = spec_from_file_location(f"resemblyzer.{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        loaded[name] = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, f"resemblyzer.{name}", loaded[name])
        setattr(holder, name, loaded[name])
        spec.loader.exec_module(loaded[name])
    return SimpleNamespace(**loaded)


def clips() -> tuple[list[np.ndarray], np.ndarray]:
    with np.load(GOLDEN) as golden:
        quiet = golden["signal"].astype(np.float32) / 32768
        return [quiet[:length] for length in golden["lengths"]], golden["dvectors"]


def test_embeddings_are_the_untouched_packages(record_property: Record) -> None:
    """d-vectors equal those of resemblyzer with librosa, volume raised and silences kept, to 1e-4."""
    recordings, expected = clips()
    made = load_speaker_encoder().embed(recordings)
    difference = np.abs(made - expected).max()
    compared(
        record_property,
        tool="resemblyzer 0.1.4 with librosa",
        source="golden values: d-vectors of synthetic recordings",
        result=f"largest difference {difference:.1e}",
    )
    assert difference < 1e-4, f"largest difference {difference}"


def test_bfloat16_hardly_turns_a_voice() -> None:
    """d-vectors of bfloat16 products point less than 5 degrees away from those of float32, at unit length."""
    recordings, _ = clips()
    encoder = load_speaker_encoder()
    exact, quick = (encoder.embed(recordings, products=products) for products in ("float32", "bfloat16"))
    assert np.allclose(np.linalg.norm(quick, axis=1), 1, atol=1e-5)
    turned = np.degrees(2 * np.arcsin(np.linalg.norm(quick - exact, axis=1) / 2))
    assert turned.max() < 5, f"turned by {turned.max()} degrees"


def test_embeddings_are_its_codes(resemblyzer: SimpleNamespace, record_property: Record) -> None:
    """d-vectors equal those of resemblyzer's own network and windows on the same mels, to 1e-5."""
    theirs = resemblyzer.voice_encoder.VoiceEncoder("cpu", verbose=False)
    recordings, _ = clips()
    made = load_speaker_encoder().embed(recordings)
    volume = [resemblyzer.audio.normalize_volume(clip, -30, increase_only=True) for clip in recordings]
    expected = np.stack([theirs.embed_utterance(clip) for clip in volume])
    difference = np.abs(made - expected).max()
    compared(
        record_property,
        tool="resemblyzer's `VoiceEncoder`",
        source="the same mels",
        result=f"d-vectors equal to {difference:.1e}",
    )
    assert difference < 1e-5, f"largest difference {difference}"


def test_windows_are_its_windows(resemblyzer: SimpleNamespace, record_property: Record) -> None:
    """Partial windows start where resemblyzer's do, for every length from 10 ms to 6 s."""
    slices = resemblyzer.voice_encoder.VoiceEncoder.compute_partial_slices
    for samples in range(160, 96_000, 97):
        _, frames = slices(samples, 1.3, 0.75)
        assert partial_starts(samples) == [piece.start for piece in frames], f"{samples} samples"
    compared(
        record_property,
        tool="resemblyzer's `compute_partial_slices`",
        source="recordings of 10 ms to 6 s",
        result="windows equal",
    )


def test_volume_is_its_volume(resemblyzer: SimpleNamespace, record_property: Record) -> None:
    """Quiet recordings are raised to -30 dBFS as resemblyzer does, to 1e-7; loud ones stay."""
    recordings, _ = clips()
    for clip in (recordings[0], recordings[0] * 40):
        expected = resemblyzer.audio.normalize_volume(clip, -30, increase_only=True)
        difference = np.abs(raise_volume(clip) - expected).max()
        compared(
            record_property,
            tool="resemblyzer's `normalize_volume`",
            source="a quiet and a loud recording",
            result=f"largest difference {difference:.1e}",
        )
        assert difference < 1e-7, f"largest difference {difference}"


def test_other_weights_are_refused(tmp_path: Path) -> None:
    """A weights file that is not the published one is refused by its SHA-256, before it is read."""
    (tmp_path / "pretrained.pt").write_bytes(weights_path().read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"expected resemblyzer's published weights, sha256 \w{64}, got \w{64}"):
        load_speaker_encoder(tmp_path / "pretrained.pt")
