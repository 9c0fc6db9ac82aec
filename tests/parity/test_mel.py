"""Mel filters and spectrograms are librosa's. Golden values: `tests/parity/golden/librosa_mel.py`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from tongyeok.unit2speech.mel import MelSpectrogram, mel_filters

GOLDEN = Path(__file__).parent / "golden" / "librosa_mel.npz"


@pytest.mark.parametrize(("fft_samples", "mels"), [(400, 40), (1024, 80)])
def test_filters_are_librosas(fft_samples: int, mels: int, record_property: Record) -> None:
    """Mel filters equal librosa 0.11's to 1e-7 (their largest weight is about 0.03)."""
    with np.load(GOLDEN) as golden:
        expected = golden[f"filters_{mels}"]
    made = mel_filters(sample_rate=16_000, fft_samples=fft_samples, mels=mels)
    difference = np.abs(made - expected).max()
    compared(
        record_property,
        tool="librosa's `filters.mel`",
        source=f"golden values: {mels} filters of {fft_samples} samples",
        result=f"largest difference {difference:.1e}",
    )
    assert difference < 1e-7, f"largest difference {difference}"


def test_mels_are_librosas(record_property: Record) -> None:
    """Mel power equals librosa 0.11's to 1e-5 of its largest value, with the same number of frames."""
    with np.load(GOLDEN) as golden:
        samples = golden["signal"][:12_800].astype(np.float32) / 32768
        expected = golden["mels"]
    spectrogram = MelSpectrogram(sample_rate=16_000, fft_samples=400, hop=160, mels=40)
    made = spectrogram(torch.from_numpy(samples)).numpy()
    assert made.shape == expected.shape
    difference = np.abs(made - expected).max() / expected.max()
    compared(
        record_property,
        tool="librosa's `melspectrogram`",
        source="golden values: 0.8 s, 40 mels",
        result=f"largest difference {difference:.1e} of the maximum",
    )
    assert difference < 1e-5, f"largest difference {difference} of the maximum"
