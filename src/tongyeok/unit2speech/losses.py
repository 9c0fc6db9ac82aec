"""How far a waveform is from another, to an ear: spectra at several resolutions, as log mels and as magnitudes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from tongyeok.base.audio import SAMPLE_RATE
from tongyeok.base.team import here
from tongyeok.unit2speech.mel import mel_filters

# Levels below which nothing is heard and nothing shall be learned, about 90 dB below full scale; else the exact level
# of digital silence would outweigh the speech.
MAGNITUDE_FLOOR = 1e-3
MEL_FLOOR = 2e-5  # mel filters of unit area weigh each bin by a few hundredths

TINY = 1e-10  # power under the root, whose slope is infinite at 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """One short-time Fourier transform: window and hop in samples, and its mel bands."""

    window: int
    hop: int
    mels: int


# Windows from a glottal pulse to a vowel; the middle one is the front end of Whisper and of most recognisers (25 ms).
RESOLUTIONS = (
    Resolution(window=160, hop=40, mels=20),
    Resolution(window=400, hop=100, mels=80),
    Resolution(window=1024, hop=256, mels=80),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Distance:
    """The weighted loss, and its unweighted log-mel L1 for curves."""

    total: Float[Tensor, ""]
    mel: Float[Tensor, ""]


class SpectralLoss(nn.Module):
    """Distance of waveforms, mean over resolutions: log-mel L1, log-magnitude L1, spectral convergence.

    The two last are those of Parallel WaveGAN (Yamamoto 2020, sec. 2.2); log-mel L1 is HiFi-GAN's. Convergence is a
    ratio of norms over the whole batch: in a team of processes, over the parts of all.
    Filters and windows are made once.

    Args:
        mel_weight: of the log-mel L1.
        magnitude_weight: of log-magnitude L1 and spectral convergence.
    """

    def __init__(self, *, mel_weight: float, magnitude_weight: float) -> None:
        super().__init__()
        self.mel_weight, self.magnitude_weight = mel_weight, magnitude_weight
        for number, resolution in enumerate(RESOLUTIONS):
            filters = mel_filters(sample_rate=SAMPLE_RATE, fft_samples=resolution.window, mels=resolution.mels)
            self.register_buffer(f"filters_{number}", torch.from_numpy(filters.T.copy()), persistent=False)
            self.register_buffer(f"window_{number}", torch.hann_window(resolution.window), persistent=False)

    def forward(self, made: Float[Tensor, "batch samples"], real: Float[Tensor, "batch samples"]) -> Distance:
        """How far `made` is from `real`."""
        team = here()
        mel_loss = magnitude_loss = made.new_zeros(())
        for number in range(len(RESOLUTIONS)):
            made_magnitude = self._magnitudes(made, number)
            with torch.no_grad():
                real_magnitude = self._magnitudes(real, number)
            filters = self.get_buffer(f"filters_{number}")
            mel_loss = mel_loss + _log_distance(made_magnitude @ filters, real_magnitude @ filters, MEL_FLOOR)
            scale = team.norm(real_magnitude).clamp(min=MAGNITUDE_FLOOR)
            convergence = team.norm(real_magnitude - made_magnitude) / scale
            magnitude_loss = (
                magnitude_loss + convergence + _log_distance(made_magnitude, real_magnitude, MAGNITUDE_FLOOR)
            )
        mel_loss = mel_loss / len(RESOLUTIONS)
        total = self.mel_weight * mel_loss + self.magnitude_weight * magnitude_loss / len(RESOLUTIONS)
        return Distance(total=total, mel=mel_loss.detach())

    def _magnitudes(self, samples: Float[Tensor, "batch samples"], number: int) -> Float[Tensor, "batch frames bins"]:
        resolution = RESOLUTIONS[number]
        edge = resolution.window // 2
        padded = torch.nn.functional.pad(samples[:, None], [edge, edge], "reflect")[:, 0]
        frames = padded.unfold(1, resolution.window, resolution.hop) * self.get_buffer(f"window_{number}")
        magnitudes: Float[Tensor, "batch frames bins"] = _Magnitudes.apply(frames)  # type: ignore[no-untyped-call]
        return magnitudes


class _Magnitudes(torch.autograd.Function):
    """Magnitudes of real frames' Fourier transforms.

    Backward it is one real inverse transform. PyTorch's own derivative completes each half spectrum with zeros and
    transforms it in complex numbers, which takes several times as long.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, frames: Float[Tensor, "batch frames window"]) -> Float[Tensor, "batch frames bins"]:
        """At least the root of TINY."""
        spectrum = torch.fft.rfft(frames)
        magnitudes: Tensor = (spectrum.real.square() + spectrum.imag.square()).clamp(min=TINY).sqrt()
        ctx.save_for_backward(spectrum, magnitudes)
        return magnitudes

    @staticmethod
    def backward(ctx: FunctionCtx, slope: Float[Tensor, "batch frames bins"]) -> Float[Tensor, "batch frames window"]:
        """Gradient towards the frames."""
        spectrum, magnitudes = ctx.saved_tensors  # type: ignore[attr-defined]
        slopes = spectrum * (slope / magnitudes)
        slopes[..., 1:-1] *= 0.5  # the inverse counts each bin twice, but for the lowest and the highest
        gradient: Tensor = torch.fft.irfft(slopes, norm="forward")
        return gradient


def _log_distance(made: Tensor, real: Tensor, floor: float) -> Float[Tensor, ""]:
    return (made.clamp(min=floor).log() - real.clamp(min=floor).log()).abs().mean()
