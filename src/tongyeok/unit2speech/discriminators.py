"""HiFi-GAN's judges of waveforms: the multi-period and the multi-scale discriminator (Kong 2020, sec. 2.3).

Layers and names are those of the reference (`models.py` of jik876/hifi-gan and of facebookresearch/speech-resynthesis).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

PERIODS = (2, 3, 5, 7, 11)  # samples; primes, so that no two see the same
PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)
PERIOD_KERNEL, PERIOD_STRIDE = 5, 3  # along time, in periods; the last convolution has stride 1
SCALES = 3  # the waveform, and twice its average over two samples
SCALE_LAYERS = (  # channels, kernel, stride, groups
    (128, 15, 1, 1),
    (128, 41, 2, 4),
    (256, 41, 2, 16),
    (512, 41, 4, 16),
    (1024, 41, 4, 16),
    (1024, 41, 1, 16),
    (1024, 5, 1, 1),
)
SLOPE = 0.1  # of the leaky ReLUs

Norm = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one discriminator says of a batch: scores (real: 1, made: 0), and every layer's output, scores included."""

    scores: Float[Tensor, "batch places"]
    features: tuple[Float[Tensor, "batch ..."], ...]


class Discriminator(nn.Module):
    """Convolutions with leaky ReLUs, and a last one that scores."""

    def __init__(self, convs: list[nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = last

    def judge(self, x: Float[Tensor, "batch 1 ..."]) -> Verdict:
        """Scores and features of what a subclass made of the waveform."""
        features = []
        for conv in self.convs:
            x = leaky_relu(conv(x), SLOPE)
            features.append(x)
        x = self.conv_post(x)
        return Verdict(scores=x.flatten(1), features=(*features, x))


class PeriodDiscriminator(Discriminator):
    """Looks at every `period`-th sample: the waveform folded into rows of one period, convolved along the columns."""

    def __init__(self, *, period: int, shrink: int) -> None:
        channels = (1, *(width // shrink for width in PERIOD_CHANNELS))
        strides = [PERIOD_STRIDE] * (len(PERIOD_CHANNELS) - 1) + [1]
        kernel, padding = (PERIOD_KERNEL, 1), (PERIOD_KERNEL // 2, 0)
        super().__init__(
            [
                weight_norm(nn.Conv2d(before, after, kernel, (stride, 1), padding=padding))
                for before, after, stride in zip(channels[:-1], channels[1:], strides, strict=True)
            ],
            weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0))),
        )
        self.period = period

    def forward(self, waveform: Float[Tensor, "batch 1 samples"]) -> Verdict:
        """Judge it; the end is mirrored to a whole number of periods."""
        waveform = pad(waveform, [0, -waveform.shape[2] % self.period], "reflect")
        return self.judge(waveform.reshape(*waveform.shape[:2], -1, self.period))


class ScaleDiscriminator(Discriminator):
    """Looks at the waveform itself."""

    def __init__(self, *, shrink: int, norm: Norm) -> None:
        channels = (1, *(width // shrink for width, _, _, _ in SCALE_LAYERS))
        super().__init__(
            [
                norm(nn.Conv1d(before, after, kernel, stride, padding=kernel // 2, groups=groups))
                for before, after, (_, kernel, stride, groups) in zip(
                    channels[:-1], channels[1:], SCALE_LAYERS, strict=True
                )
            ],
            norm(nn.Conv1d(channels[-1], 1, 3, padding=1)),
        )

    def forward(self, waveform: Float[Tensor, "batch 1 samples"]) -> Verdict:
        """Judge it."""
        return self.judge(waveform)


class Family(nn.Module):
    """Discriminators of one kind, under the reference's name."""

    def __init__(self, discriminators: Iterable[Discriminator]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)


class Discriminators(nn.Module):
    """All discriminators: `mpd` (one for each period) and `msd` (one for each scale, the first with spectral norm).

    Args:
        shrink: the reference's channels are divided by it; 1, 2, 4 or 8.
    """

    def __init__(self, *, shrink: int) -> None:
        super().__init__()
        self.mpd = Family(PeriodDiscriminator(period=period, shrink=shrink) for period in PERIODS)
        norms: list[Norm] = [spectral_norm, *[weight_norm] * (SCALES - 1)]
        self.msd = Family(ScaleDiscriminator(shrink=shrink, norm=norm) for norm in norms)
        self.halve = nn.AvgPool1d(4, 2, padding=2)

    def forward(self, samples: Float[Tensor, "batch samples"]) -> list[Verdict]:
        """One verdict of each discriminator, periods first."""
        waveform = samples[:, None]
        verdicts: list[Verdict] = [judge(waveform) for judge in self.mpd.discriminators]
        for number, judge in enumerate(self.msd.discriminators):
            waveform = self.halve(waveform) if number else waveform
            verdicts.append(judge(waveform))
        return verdicts


def build_discriminators(*, shrink: int, seed: int) -> Discriminators:
    """Discriminators with fresh weights, drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Discriminators(shrink=shrink)
