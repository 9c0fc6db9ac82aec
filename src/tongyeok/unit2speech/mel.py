"""Mel filters and spectrograms by librosa's definition (Slaney's scale and area norm), in torch and without librosa.

`LogMel` is HiFi-GAN's own spectrogram on the same filters.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tongyeok import config
from tongyeok.base.audio import SAMPLE_RATE

LINEAR_HZ_PER_MEL = 200.0 / 3
LOG_FROM_HZ = 1000.0
LOG_STEP = float(np.log(6.4)) / 27

POWER_FLOOR = 1e-9  # added under HiFi-GAN's root, whose slope is infinite at 0
LOG_MEL_FLOOR = 1e-5  # HiFi-GAN's quietest mel


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


@config.section
class LogMelConfig:
    """HiFi-GAN's log-mel spectrogram, the measure of its mel loss; AV2AV: 80, 1024, 1024, 256, 0, 8000."""

    bands: int  # mel filters
    fft_samples: int  # length of the Fourier transform
    window_samples: int  # length of the Hann window, centred in the transform
    hop_samples: int  # the mel's own hop; nothing to do with the 320 samples of a unit
    low_hz: float  # lower edge of the first filter
    high_hz: float  # upper edge of the last filter

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.bands < 1:
            raise ValueError(f"bands: expected at least 1, got {self.bands}")
        if not 1 <= self.window_samples <= self.fft_samples:
            raise ValueError(
                f"window_samples: expected 1 to fft_samples ({self.fft_samples}), got {self.window_samples}"
            )
        if not 1 <= self.hop_samples <= self.fft_samples or (self.fft_samples - self.hop_samples) % 2:
            raise ValueError(
                f"hop_samples: expected 1 to fft_samples ({self.fft_samples}) and an even number less, "
                f"got {self.hop_samples}; take {self.fft_samples // 4}"
            )
        if not 0 <= self.low_hz < self.high_hz <= SAMPLE_RATE / 2:
            raise ValueError(
                f"low_hz, high_hz: expected 0 <= low_hz < high_hz <= {SAMPLE_RATE / 2:g}, "
                f"got {self.low_hz:g} and {self.high_hz:g}"
            )

    @property
    def margin(self) -> int:
        """Samples mirrored at either end."""
        return (self.fft_samples - self.hop_samples) // 2


class LogMel(torch.nn.Module):
    """Natural logarithm of mel magnitudes, as `mel_spectrogram` of jik876/hifi-gan makes them (`meldataset.py`)."""

    window: Tensor
    filters: Tensor

    def __init__(self, cfg: LogMelConfig) -> None:
        super().__init__()
        self.cfg = cfg
        filters = mel_filters(
            sample_rate=SAMPLE_RATE,
            fft_samples=cfg.fft_samples,
            mels=cfg.bands,
            low_hz=cfg.low_hz,
            high_hz=cfg.high_hz,
        )
        self.register_buffer("window", torch.hann_window(cfg.window_samples), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, samples: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch bands frames"]:
        """Log mels of `samples` in [-1, 1], mirrored at either end; one frame for every hop."""
        spectrum = torch.stft(
            torch.nn.functional.pad(samples[:, None], [self.cfg.margin, self.cfg.margin], "reflect")[:, 0],
            self.cfg.fft_samples,
            self.cfg.hop_samples,
            self.cfg.window_samples,
            window=self.window,
            center=False,
            return_complex=True,
        )
        magnitudes = (spectrum.real.square() + spectrum.imag.square() + POWER_FLOOR).sqrt()
        return (self.filters @ magnitudes).clamp(min=LOG_MEL_FLOOR).log()
