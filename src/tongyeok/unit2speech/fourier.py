"""The Fourier-head generator: ConvNeXt blocks at the units' own rate, then one inverse Fourier transform per frame.

After Vocos (Siuzdak 2023; `vocos/models.py`, `vocos/heads.py`, `vocos/spectral_ops.py`, padding "same"): nothing is
upsampled, so it is the generator to train where compute is small.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tongyeok import config
from tongyeok.base.audio import UNIT_HOP, exact_div
from tongyeok.base.linear import Linear
from tongyeok.unit2speech.generator import CONDITION_CHANNELS, Generator

LARGEST_MAGNITUDE = 100.0  # of a spectral bin; Vocos clips there too


@config.section
class FourierConfig:
    """Dimensions of a Fourier-head generator."""

    head: Literal["fourier"]
    width: int  # channels of the blocks; Vocos: 512
    layers: int  # ConvNeXt blocks; Vocos: 8
    expansion: int  # hidden width of a block / width; Vocos: 3
    kernel: int  # frames that each convolution sees, odd; Vocos: 7
    fft_samples: int  # window of the head, samples; Vocos: four hops
    looks: int  # Fourier transforms per 20 ms unit frame; the head's hop is 320 / looks samples
    duration_dropout: float  # share of the duration predictor's activations dropped; CodeHiFiGAN: 0.5

    def __post_init__(self) -> None:
        """Check the rules."""
        for name in ("width", "layers", "expansion", "looks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd number of frames, got {self.kernel}; take {self.kernel + 1}")
        if UNIT_HOP % self.looks:
            raise ValueError(
                f"looks: expected a divisor of {UNIT_HOP} (samples per unit), got {self.looks}; take 1 or 2"
            )
        hop = UNIT_HOP // self.looks
        if self.fft_samples < 2 * hop or self.fft_samples % (2 * hop):
            raise ValueError(
                f"fft_samples: expected a multiple of two hops ({2 * hop} samples) for {UNIT_HOP} samples a unit, "
                f"got {self.fft_samples}; take {4 * hop}"
            )
        if not 0 <= self.duration_dropout < 1:
            raise ValueError(f"duration_dropout: expected 0 <= share < 1, got {self.duration_dropout}")


class DepthwiseConvolution(nn.Conv1d):
    """A convolution over time for each channel by itself, on frames whose channels lie side by side in memory.

    As a flat image with its channels last it needs no transposed copies, and on CPUs its backward pass takes a tenth of
    the time.
    """

    def __init__(self, *, width: int, kernel: int) -> None:
        super().__init__(width, width, kernel, padding=kernel // 2, groups=width)

    def forward(self, frames: Float[Tensor, "batch frames width"]) -> Float[Tensor, "batch frames width"]:
        """Same shape; zeros stand before the first frame and after the last."""
        weight = self.weight.squeeze(1).unsqueeze(2).transpose(1, 2).unsqueeze(3)  # its channels last, too
        image = frames.transpose(1, 2).unsqueeze(3)
        made = torch.conv2d(image, weight, self.bias, padding=(self.kernel_size[0] // 2, 0), groups=self.groups)
        return made.squeeze(3).transpose(1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, LayerNorm, a wide GELU layer, and a scaled residual."""

    def __init__(self, *, width: int, hidden: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.depthwise = DepthwiseConvolution(width=width, kernel=kernel)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, frames: Float[Tensor, "batch frames width"]) -> Float[Tensor, "batch frames width"]:
        """Same shape."""
        x = self.norm(self.depthwise(frames))
        change: Float[Tensor, "batch frames width"] = self.narrow(nn.functional.gelu(self.widen(x)))
        return frames + self.scale * change


class FourierHead(nn.Module):
    """Frames -> log magnitude and phase -> inverse Fourier transform, overlapped and added.

    Args:
        width: channels of the frames.
        fft_samples: length of window and transform; a multiple of twice the hop.
        looks: transforms per frame; the hop is UNIT_HOP / looks.
    """

    window: Tensor

    def __init__(self, *, width: int, fft_samples: int, looks: int) -> None:
        super().__init__()
        self.hop = exact_div(UNIT_HOP, looks)
        self.overlap = 2 * exact_div(fft_samples, 2 * self.hop)
        self.fft_samples, self.looks = fft_samples, looks
        self.project = nn.Linear(width, looks * (fft_samples + 2))
        self.register_buffer("window", torch.hann_window(fft_samples), persistent=False)

    def forward(self, frames: Float[Tensor, "batch frames width"]) -> Float[Tensor, "batch samples"]:
        """Waveform of exactly frames * UNIT_HOP samples ("same" padding: each frame's window is centred on it)."""
        batch, count, _ = frames.shape
        looks = count * self.looks
        projected = self.project(frames).float()  # from here on: spectra need float32
        magnitude, phase = projected.reshape(batch, looks, self.fft_samples + 2).chunk(2, dim=2)
        magnitude = magnitude.exp().clamp(max=LARGEST_MAGNITUDE)
        spectrum = torch.complex(magnitude * torch.cos(phase), magnitude * torch.sin(phase))
        pieces = torch.fft.irfft(spectrum, n=self.fft_samples) * self.window
        total = self._overlap_add(pieces)
        weight = self._overlap_add(self.window.square().expand(1, looks, -1))
        edge = exact_div(self.fft_samples - self.hop, 2)
        return (total[:, edge:-edge] / weight[:, edge:-edge]) if edge else total / weight

    def _overlap_add(self, pieces: Float[Tensor, "batch looks fft"]) -> Float[Tensor, "batch total"]:
        batch, looks, _ = pieces.shape
        parts = pieces.reshape(batch, looks, self.overlap, self.hop)
        total = pieces.new_zeros(batch, looks + self.overlap - 1, self.hop)
        for part in range(self.overlap):
            total[:, part : part + looks] += parts[:, :, part]
        return total.flatten(1)


class FourierGenerator(Generator):
    """Conditioned frames -> convolution -> ConvNeXt blocks -> Fourier head.

    Args:
        cfg: its dimensions.
        clusters: number of units.
        languages: number of languages.
    """

    def __init__(self, cfg: FourierConfig, *, clusters: int, languages: int) -> None:
        super().__init__(clusters=clusters, languages=languages, duration_dropout=cfg.duration_dropout)
        hidden, scale = cfg.expansion * cfg.width, 1 / cfg.layers
        self.enter = nn.Conv1d(CONDITION_CHANNELS, cfg.width, cfg.kernel, padding=cfg.kernel // 2)
        self.enter_norm = nn.LayerNorm(cfg.width, eps=1e-6)
        self.blocks = nn.Sequential(
            *(ConvNeXtBlock(width=cfg.width, hidden=hidden, kernel=cfg.kernel, scale=scale) for _ in range(cfg.layers))
        )
        self.leave_norm = nn.LayerNorm(cfg.width, eps=1e-6)
        self.head = FourierHead(width=cfg.width, fft_samples=cfg.fft_samples, looks=cfg.looks)
        for part in (self.enter, self.blocks, self.head):
            part.apply(_initialise)

    def decode(self, frames: Float[Tensor, "batch frames 256"]) -> Float[Tensor, "batch samples"]:
        """Waveform of exactly frames * UNIT_HOP samples."""
        x = self.enter_norm(self.enter(frames.transpose(1, 2)).transpose(1, 2))
        waveform: Float[Tensor, "batch samples"] = self.head(self.leave_norm(self.blocks(x)))
        return waveform

    def fold(self) -> None:
        """On a CPU, let oneDNN multiply."""
        if self.head.window.device.type != "cpu":
            return
        for part in (*self.blocks, self.head):
            for name, layer in list(part.named_children()):
                if isinstance(layer, nn.Linear):
                    setattr(part, name, Linear(layer.weight, layer.bias))


def _initialise(module: nn.Module) -> None:
    """Vocos's `_init_weights`."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
