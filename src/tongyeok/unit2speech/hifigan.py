"""The unit HiFi-GAN generator: transposed convolutions from 50 frames a second to 16 kHz, residual blocks at each rate.

Layers, their order and names are those of `fairseq/models/text_to_speech/hifigan.py` (Kong 2020, V1), so that weights
are exchanged one to one. The reference draws its weights from N(0, 0.01) after weight normalisation is in place, where
that has no effect: it trains from PyTorch's own initialisation, and so does this one.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from tongyeok import config
from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP, UNIT_RATE
from tongyeok.unit2speech.generator import CONDITION_CHANNELS, Generator

SLOPE = 0.1  # of the leaky ReLUs; the last one has PyTorch's 0.01, as in the reference
EDGE_KERNEL = 7  # of the first and the last convolution
DILATIONS_PER_BLOCK = 3  # of the reference's resblock "1"


@config.section
class HifiganConfig:
    """Dimensions of a HiFi-GAN generator; AV2AV's: 5,4,4,2,2 and 11,8,8,4,4, 512 channels, 3,7,11, each 1,3,5."""

    head: Literal["hifigan"]
    upsample_rates: tuple[int, ...]  # their product is 320, the samples of a unit
    upsample_kernels: tuple[int, ...]  # samples after upsampling
    initial_channels: int  # halved by every upsampling
    resblock_kernels: tuple[int, ...]  # blocks side by side, whose outputs are averaged
    resblock_dilations: tuple[tuple[int, ...], ...]  # three for each kernel
    duration_dropout: float  # share of the duration predictor's activations dropped; CodeHiFiGAN: 0.5

    def __post_init__(self) -> None:
        """Check the rules."""
        refuse_other_hops(self.upsample_rates)
        if len(self.upsample_kernels) != len(self.upsample_rates):
            raise ValueError(
                f"upsample_kernels: expected one for each of {len(self.upsample_rates)} upsample_rates, "
                f"got {len(self.upsample_kernels)}"
            )
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            if kernel < rate or (kernel - rate) % 2:
                raise ValueError(
                    f"upsample_kernels: expected at least the rate {rate} and an even number more, so that the length "
                    f"grows exactly {rate} times, got {kernel}; take {rate + 2 * ((rate + 1) // 2)}"
                )
        smallest = 2 ** len(self.upsample_rates)
        if self.initial_channels < smallest or self.initial_channels % smallest:
            raise ValueError(
                f"initial_channels: expected a multiple of {smallest}, halved {len(self.upsample_rates)} times, "
                f"got {self.initial_channels}"
            )
        if not self.resblock_kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in self.resblock_kernels):
            raise ValueError(f"resblock_kernels: expected odd numbers, got {list(self.resblock_kernels)}")
        if len(self.resblock_dilations) != len(self.resblock_kernels) or any(
            len(dilations) != DILATIONS_PER_BLOCK or min(dilations) < 1 for dilations in self.resblock_dilations
        ):
            raise ValueError(
                f"resblock_dilations: expected {DILATIONS_PER_BLOCK} for each of {len(self.resblock_kernels)} "
                f"resblock_kernels, got {[list(dilations) for dilations in self.resblock_dilations]}"
            )
        if not 0 <= self.duration_dropout < 1:
            raise ValueError(f"duration_dropout: expected 0 <= share < 1, got {self.duration_dropout}")


def refuse_other_hops(upsample_rates: tuple[int, ...]) -> None:
    """Check that the rates make one unit's samples of one unit.

    Raises:
        ValueError: their product is not UNIT_HOP.
    """
    product = math.prod(upsample_rates)
    if product != UNIT_HOP or min(upsample_rates) < 1:
        raise ValueError(
            f"upsample_rates: expected a product of {UNIT_HOP}, since units come {UNIT_RATE} times a second and audio "
            f"has {SAMPLE_RATE} samples a second, got {list(upsample_rates)} with product {product}: speech would come "
            f"out {product / UNIT_HOP:.2f} times as long as it was (a hop_length of 256 belongs to 22.05 kHz mel "
            "vocoders and cannot work with 16 kHz units); take [5, 4, 4, 2, 2]"
        )


class Convolution(nn.Conv1d):
    """A convolution along time that keeps the length.

    Time is the width of an image of height 1 whose channels lie side by side in memory: CPUs are up to twice as fast
    with it as with PyTorch's layout of one-dimensional convolutions.
    """

    def __init__(self, channels: int, made: int, kernel: int, dilation: int) -> None:
        super().__init__(channels, made, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)

    def forward(self, image: Float[Tensor, "batch channels 1 samples"]) -> Float[Tensor, "batch made 1 samples"]:
        """As many samples."""
        padding, dilation = (0, int(self.padding[0])), (1, self.dilation[0])
        return torch.conv2d(image, as_image(self.weight), self.bias, padding=padding, dilation=dilation)


class Upsampling(nn.ConvTranspose1d):
    """A transposed convolution along time that makes `rate` samples of one, on images as `Convolution`'s."""

    def __init__(self, channels: int, made: int, kernel: int, rate: int) -> None:
        super().__init__(channels, made, kernel, stride=rate, padding=(kernel - rate) // 2)

    def forward(  # type: ignore[override]
        self, image: Float[Tensor, "batch channels 1 samples"]
    ) -> Float[Tensor, "batch made 1 more"]:
        """`rate` times as many samples."""
        padding, stride = (0, int(self.padding[0])), (1, self.stride[0])
        return nn.functional.conv_transpose2d(image, as_image(self.weight), self.bias, stride=stride, padding=padding)


def as_image(weight: Float[Tensor, "first second kernel"]) -> Float[Tensor, "first second 1 kernel"]:
    """Weights of a convolution along time for images with their channels last."""
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class ResBlock(nn.Module):
    """Pairs of a dilated and a plain convolution, each pair around a residual connection."""

    def __init__(self, *, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_convolution(channels, channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_convolution(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Float[Tensor, "batch channels 1 samples"]) -> Float[Tensor, "batch channels 1 samples"]:
        """Same shape."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            inner = leaky_relu(dilated(leaky_relu(x, SLOPE)), SLOPE, inplace=True)
            x = plain(inner).add_(x)
        return x


class HifiganGenerator(Generator):
    """Conditioned frames -> convolution -> (upsampling -> residual blocks) at each rate -> convolution -> tanh.

    Args:
        cfg: its dimensions.
        clusters: number of units.
        languages: number of languages.
    """

    def __init__(self, cfg: HifiganConfig, *, clusters: int, languages: int) -> None:
        super().__init__(clusters=clusters, languages=languages, duration_dropout=cfg.duration_dropout)
        self.blocks_each = len(cfg.resblock_kernels)
        self.conv_pre = _convolution(CONDITION_CHANNELS, cfg.initial_channels, EDGE_KERNEL)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        channels = cfg.initial_channels
        for rate, kernel in zip(cfg.upsample_rates, cfg.upsample_kernels, strict=True):
            self.ups.append(weight_norm(Upsampling(channels, channels // 2, kernel, rate)))
            channels //= 2
            for width, dilations in zip(cfg.resblock_kernels, cfg.resblock_dilations, strict=True):
                self.resblocks.append(ResBlock(channels=channels, kernel=width, dilations=dilations))
        self.conv_post = _convolution(channels, 1, EDGE_KERNEL)

    def decode(self, frames: Float[Tensor, "batch frames 256"]) -> Float[Tensor, "batch samples"]:
        """Waveform of exactly frames * UNIT_HOP samples, in [-1, 1]."""
        x = self.conv_pre(frames.transpose(1, 2).unsqueeze(2))
        for stage, upsample in enumerate(self.ups):
            x = upsample(leaky_relu(x, SLOPE, inplace=True))
            first, *others = self.resblocks[stage * self.blocks_each : (stage + 1) * self.blocks_each]
            total = first(x)
            for block in others:
                total += block(x)
            x = total.div_(self.blocks_each)
        waveform: Float[Tensor, "batch samples"] = torch.tanh(self.conv_post(leaky_relu(x)))[:, 0, 0].float()
        return waveform

    @torch.no_grad()
    def fold(self) -> None:
        """Turn normalised weights into plain ones, laid out as images: a generator that speaks, no longer one to save.

        Otherwise every call would norm and lay out all of them again.
        """
        for module in list(self.modules()):
            if isinstance(module, Convolution | Upsampling):
                parametrize.remove_parametrizations(module, "weight")
                module.weight = nn.Parameter(as_image(module.weight).squeeze(2), requires_grad=False)


def _convolution(channels: int, made: int, kernel: int, dilation: int = 1) -> nn.Module:
    """A weight-normalised convolution that keeps the length."""
    module: nn.Module = weight_norm(Convolution(channels, made, kernel, dilation))
    return module
