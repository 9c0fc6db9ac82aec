"""MFCC features: shapes, edges and slopes; equality with torchaudio is in parity/test_mfcc.py."""

import numpy as np
import pytest

from tongyeok.speech2unit.mfcc import DIM, deltas, mfcc, mfcc_frames


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)])
def test_only_whole_windows_count(samples: int, frames: int) -> None:
    """A recording has as many frames as whole 25 ms windows fit at a shift of 10 ms."""
    assert mfcc_frames(samples) == frames
    features = mfcc(np.zeros(samples, dtype=np.float32))
    assert features.shape == (frames, DIM)
    assert features.dtype == np.float32


def test_silence_is_finite_and_steady() -> None:
    """Digital silence gives finite, equal frames with no slope: nothing is dithered."""
    features = mfcc(np.zeros(4000, dtype=np.float32))
    assert np.isfinite(features).all()
    assert np.ptp(features, axis=0).max() == 0
    assert np.abs(features[:, 13:]).max() == 0


def test_deltas_are_slopes() -> None:
    """A straight line has its slope as delta inside, and a smaller one at the replicated edges."""
    line = 3 * np.arange(10, dtype=np.float32)[:, None]
    slope = deltas(line)[:, 0]
    np.testing.assert_allclose(slope[2:-2], 3, rtol=1e-6)
    assert slope[0] < 3
    assert slope[-1] < 3


def test_same_samples_same_bytes() -> None:
    """MFCC of the same samples repeat byte for byte."""
    samples = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    assert mfcc(samples).tobytes() == mfcc(samples).tobytes()
