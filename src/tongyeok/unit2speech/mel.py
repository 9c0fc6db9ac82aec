"""Mel filters and spectrograms by librosa's definition (Slaney's scale and area norm), in torch and without librosa."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LINEAR_HZ_PER_MEL = 200.0 / 3
LOG_FROM_HZ = 1000.0
LOG_STEP = float(np.log(6.4)) / 27


def mel_filters(
    *, sample_rate: int, fft_samples: int, mels: int, low_hz: float = 0.0, high_hz: float | None = None
) -> Float[np.ndarray, "mels bins"]:
    """Triangular mel filters of equal area, as `librosa.filters.mel(htk=False, norm="slaney")` makes them.

    Args:
        sample_rate: of the signal, Hz.
        fft_samples: length of the Fourier transform; there are `fft_samples // 2 + 1` bins.
        mels: number of filters.
        low_hz: lower edge of the first filter.
        high_hz: upper edge of the last filter; half the sample rate if None.

    Returns:
        float32 weights.
    """
    top = sample_rate / 2 if high_hz is None else high_hz
    bins = np.linspace(0, sample_rate / 2, fft_samples // 2 + 1)
    corners = _mel_to_hz(np.linspace(_hz_to_mel(low_hz), _hz_to_mel(top), mels + 2))
    rising = (bins[None, :] - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins[None, :]) / np.diff(corners)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (corners[2:] - corners[:-2])
    return np.asarray(triangles * area[:, None], dtype=np.float32)


def _hz_to_mel(hz: float) -> float:
    if hz < LOG_FROM_HZ:
        return hz / LINEAR_HZ_PER_MEL
    return LOG_FROM_HZ / LINEAR_HZ_PER_MEL + float(np.log(hz / LOG_FROM_HZ)) / LOG_STEP


def _mel_to_hz(mels: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    log_from = LOG_FROM_HZ / LINEAR_HZ_PER_MEL
    return np.where(mels < log_from, mels * LINEAR_HZ_PER_MEL, LOG_FROM_HZ * np.exp(LOG_STEP * (mels - log_from)))


class MelSpectrogram(torch.nn.Module):
    """Power mel spectrogram with a periodic Hann window and zero padding, as `librosa.feature.melspectrogram`.

    `fft_samples` is also the window's length. A signal of n samples gives `1 + n // hop` frames.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, *, sample_rate: int, fft_samples: int, hop: int, mels: int) -> None:
        super().__init__()
        self.fft_samples, self.hop = fft_samples, hop
        filters = mel_filters(sample_rate=sample_rate, fft_samples=fft_samples, mels=mels)
        self.register_buffer("window", torch.hann_window(fft_samples), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, samples: Float[Tensor, "*batch samples"]) -> Float[Tensor, "*batch mels frames"]:
        """Mel power of `samples` in [-1, 1]."""
        spectrum = torch.stft(
            samples,
            self.fft_samples,
            self.hop,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        return self.filters @ (spectrum.real.square() + spectrum.imag.square())
