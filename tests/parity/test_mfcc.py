"""MFCC equal those of fairseq's dump_mfcc_feature.py, that is, of torchaudio's Python source.

torchaudio's binary does not load beside this torch, so its Python source stands in for it (`torchaudio_source`).
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from parity.torchaudio_source import shim
from tongyeok.speech2unit.mfcc import DIM, mfcc

TOLERANCE = 5e-4  # absolute, on coefficients of magnitude up to 100, both sides float32
Reference = Callable[[np.ndarray, torch.dtype], np.ndarray]


@pytest.fixture(scope="module")
def reference() -> Reference:
    """The body of fairseq's `MfccFeatureReader.get_feats`, on torchaudio's Python source."""
    with shim() as torchaudio:
        kaldi, compute_deltas = torchaudio.compliance.kaldi, torchaudio.functional.compute_deltas

    def get_feats(samples: np.ndarray, dtype: torch.dtype) -> np.ndarray:
        x = torch.from_numpy(samples).to(dtype).view(1, -1)
        mfccs = kaldi.mfcc(waveform=x, sample_frequency=16000, use_energy=False)
        mfccs = mfccs.transpose(0, 1)
        deltas = compute_deltas(mfccs)
        ddeltas = compute_deltas(deltas)
        return torch.cat([mfccs, deltas, ddeltas], dim=0).transpose(0, 1).contiguous().numpy()

    return get_feats


def _recordings() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    seconds = np.arange(40_000) / 16_000
    glide = sum(np.sin(2 * np.pi * k * (120 + 30 * seconds) * seconds) / k for k in range(1, 30))
    speechlike = 0.1 * glide * (1 + np.sin(2 * np.pi * 4 * seconds)) + 0.002 * rng.standard_normal(seconds.size)
    recordings = {
        "speechlike": speechlike,
        "noise": 0.1 * rng.standard_normal(48_000),
        "quiet": 1e-4 * rng.standard_normal(16_000),
        "silence": np.zeros(16_000),
        "clipped": np.clip(3 * speechlike, -1, 1),
        "one frame": 0.1 * rng.standard_normal(400),
        "two frames": 0.1 * rng.standard_normal(719),
    }
    return {name: (np.round(32768 * x) / 32768).astype(np.float32) for name, x in recordings.items()}


@pytest.mark.parametrize(("name", "samples"), _recordings().items(), ids=_recordings())
def test_mfcc_equal_torchaudios_source(
    name: str, samples: np.ndarray, reference: Reference, record_property: Record
) -> None:
    """Same number of frames, and every coefficient and slope within the tolerance."""
    ours, theirs = mfcc(samples), reference(samples, torch.float32)
    assert ours.shape == theirs.shape
    assert ours.shape[1] == DIM
    largest = float(np.abs(ours - theirs).max())
    exact = float(np.abs(theirs - reference(samples, torch.float64)).max())
    compared(
        record_property,
        tool="torchaudio's `compliance.kaldi.mfcc` and `compute_deltas`",
        source=f"MFCC of a recording: {name}",
        result=f"largest difference {largest:.1e}; the reference itself is {exact:.1e} from its float64 value",
    )
    assert largest < TOLERANCE
