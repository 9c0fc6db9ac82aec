"""HuBERT's first features: 13 MFCC with deltas and delta-deltas, 100 frames a second.

The definition is that of fairseq's `examples/hubert/simple_kmeans/dump_mfcc_feature.py`, that is, of torchaudio's
Python source: `compliance.kaldi.mfcc(waveform, use_energy=False)`, then twice `functional.compute_deltas`. Samples are
in [-1, 1] (not 16-bit integers), without dither, and only frames that lie wholly inside the recording count.

All frames of a recording go through the Fourier transform and the two products together, with tables made once.
kaldi-native-fbank, which was used before, works a frame after the other and takes several times as long.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tongyeok.base.audio import MFCC_HOP, SAMPLE_RATE, Samples, exact_div

COEFFICIENTS = 13
DIM = 3 * COEFFICIENTS
WINDOW = exact_div(SAMPLE_RATE * 25, 1000)  # samples in 25 ms
FFT = 512  # points: WINDOW rounded up to a power of two
BANDS, LOWEST_HZ = 23, 20.0  # Kaldi's defaults, as those below
PREEMPHASIS, LIFTER, POVEY = 0.97, 22.0, 0.85
DELTA_REACH = 2  # frames on either side: compute_deltas' win_length 5

Features = Float[np.ndarray, "frames dim"]


def mfcc_frames(samples: int) -> int:
    """How many MFCC frames a recording of this many 16 kHz samples has."""
    return max(0, 1 + (samples - WINDOW) // MFCC_HOP)


def mfcc(samples: Samples) -> Float[np.ndarray, "frames 39"]:
    """MFCC, deltas and delta-deltas of 16 kHz samples in [-1, 1], float32, 100 frames a second.

    A recording shorter than one 25 ms window has 0 frames (torchaudio raises there).
    """
    frames = mfcc_frames(samples.size)
    if frames == 0:
        return np.zeros((0, DIM), dtype=np.float32)
    tables = _tables()
    waves = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)).unfold(0, WINDOW, MFCC_HOP)
    centred = waves - waves.mean(dim=1, keepdim=True)
    before = torch.cat([centred[:, :1], centred[:, :-1]], dim=1)
    spectrum = torch.fft.rfft((centred - PREEMPHASIS * before) * tables.window, n=FFT)
    squares = torch.view_as_real(spectrum).square_().flatten(1)  # of real and imaginary parts, in turn
    bands = (squares @ tables.bands).clamp_(min=torch.finfo(torch.float32).eps).log_()
    static = (bands @ tables.cosines).numpy()
    first = deltas(static)
    return np.concatenate([static, first, deltas(first)], axis=1)


def deltas(features: Features) -> Features:
    """Slope of each coefficient over five frames, edges replicated (torchaudio's `compute_deltas`)."""
    count = len(features)
    padded = np.pad(features, ((DELTA_REACH, DELTA_REACH), (0, 0)), mode="edge")
    slope = np.zeros_like(features)
    for step in range(1, DELTA_REACH + 1):
        ahead = padded[DELTA_REACH + step : DELTA_REACH + step + count]
        behind = padded[DELTA_REACH - step : DELTA_REACH - step + count]
        slope += np.float32(step) * (ahead - behind)
    return slope / np.float32(2 * sum(step * step for step in range(1, DELTA_REACH + 1)))


class _Tables(NamedTuple):
    window: Float[Tensor, " samples"]  # Povey's
    bands: Float[Tensor, "parts bands"]  # triangles, equally wide on the mel scale; a bin has two parts
    cosines: Float[Tensor, "bands coefficients"]  # and the lifter


@cache
def _tables() -> _Tables:
    ramp = np.arange(WINDOW) / (WINDOW - 1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * ramp)) ** POVEY
    lowest, highest = _mel(np.array([LOWEST_HZ, SAMPLE_RATE / 2]))
    width = (highest - lowest) / (BANDS + 1)
    left = lowest + width * np.arange(BANDS)
    bins = _mel(SAMPLE_RATE / FFT * np.arange(FFT // 2 + 1))[:, None]
    bands = np.maximum(0, np.minimum(bins - left, left + 2 * width - bins) / width)
    bands[-1] = 0  # Kaldi leaves the bin at half the sample rate out
    bands = bands.repeat(2, axis=0)
    order = np.arange(COEFFICIENTS)
    cosines = np.sqrt(2 / BANDS) * np.cos(np.pi / BANDS * (np.arange(BANDS)[:, None] + 0.5) * order)
    cosines[:, 0] = math.sqrt(1 / BANDS)
    cosines *= 1 + 0.5 * LIFTER * np.sin(np.pi * order / LIFTER)
    return _Tables(*(torch.from_numpy(table.astype(np.float32)) for table in (window, bands, cosines)))


def _mel(hertz: np.ndarray) -> np.ndarray:
    return np.asarray(1127 * np.log1p(hertz / 700))
