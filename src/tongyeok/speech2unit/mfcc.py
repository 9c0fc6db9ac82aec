"""HuBERT's first features: 13 MFCC with deltas and delta-deltas, 100 frames a second.

The definition is that of fairseq's `examples/hubert/simple_kmeans/dump_mfcc_feature.py`, that is, of torchaudio's
Python source: `compliance.kaldi.mfcc(waveform, use_energy=False)`, then twice `functional.compute_deltas`. Samples are
in [-1, 1] (not 16-bit integers), without dither, and only frames that lie wholly inside the recording count. It is
computed by kaldi-native-fbank, whose defaults differ: its dither and its C0 = energy are switched off.
"""

import kaldi_native_fbank
import numpy as np
from jaxtyping import Float

from tongyeok.base.audio import MFCC_HOP, SAMPLE_RATE, Samples, exact_div

COEFFICIENTS = 13
DIM = 3 * COEFFICIENTS
WINDOW = exact_div(SAMPLE_RATE * 25, 1000)  # samples in 25 ms
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
    computer = kaldi_native_fbank.OnlineMfcc(_options())
    computer.accept_waveform(SAMPLE_RATE, np.ascontiguousarray(samples, dtype=np.float32))
    computer.input_finished()
    assert computer.num_frames_ready == frames
    static = np.stack([computer.get_frame(index) for index in range(frames)])
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


def _options() -> kaldi_native_fbank.MfccOptions:
    options = kaldi_native_fbank.MfccOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.frame_shift_ms = 1000 * MFCC_HOP / SAMPLE_RATE
    options.frame_opts.frame_length_ms = 1000 * WINDOW / SAMPLE_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.num_ceps = COEFFICIENTS
    options.use_energy = False
    return options
