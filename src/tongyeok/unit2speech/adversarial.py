"""How a generator learns against discriminators: HiFi-GAN's losses (Kong 2020, sec. 2.4) and its order of updates.

Each update speaks the batch once. The discriminators then judge what is real and what was made together, and learn;
after that they are held still and judge again, with gradients only towards what was made, and the generator learns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tongyeok import config
from tongyeok.base.products import Products, autocast
from tongyeok.unit2speech.clips import Batch
from tongyeok.unit2speech.discriminators import Verdict, build_discriminators
from tongyeok.unit2speech.generator import Generator
from tongyeok.unit2speech.mel import LogMel, LogMelConfig
from tongyeok.unit2speech.training import Opponent, Task


@config.section
class AdversarialConfig:
    """Discriminators, and the losses beside theirs."""

    discriminator_shrink: Literal[1, 2, 4, 8]  # their channels are divided by it; HiFi-GAN: 1
    feature_weight: float  # of feature matching; HiFi-GAN: 2
    learning_rate_decay: float  # factor for every pass over the training utterances; HiFi-GAN: 0.999
    mel: LogMelConfig  # measured by the mel loss

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.feature_weight < 0:
            raise ValueError(f"feature_weight: expected at least 0, got {self.feature_weight}")
        if not 0 < self.learning_rate_decay <= 1:
            raise ValueError(f"learning_rate_decay: expected 0 < factor <= 1, got {self.learning_rate_decay}")


def discriminator_loss(real: Sequence[Verdict], made: Sequence[Verdict]) -> Float[Tensor, ""]:
    """Least squares: every discriminator shall score the real 1 and the made 0; summed over discriminators."""
    losses = [
        (1 - truth.scores.float()).square().mean() + guess.scores.float().square().mean()
        for truth, guess in zip(real, made, strict=True)
    ]
    return torch.stack(losses).sum()


def generator_loss(made: Sequence[Verdict]) -> Float[Tensor, ""]:
    """Least squares: every discriminator shall score the made 1; summed over discriminators."""
    return torch.stack([(1 - guess.scores.float()).square().mean() for guess in made]).sum()


def feature_distance(real: Sequence[Verdict], made: Sequence[Verdict]) -> Float[Tensor, ""]:
    """Mean absolute difference of the discriminators' layers, summed over layers and discriminators."""
    distances = [
        (one.float() - other.float()).abs().mean()
        for truth, guess in zip(real, made, strict=True)
        for one, other in zip(truth.features, guess.features, strict=True)
    ]
    return torch.stack(distances).sum()


def split(verdicts: Sequence[Verdict], size: int) -> tuple[list[Verdict], list[Verdict]]:
    """Verdicts of the first `size` waveforms of a batch, and those of the others."""
    return (
        [_part(verdict, slice(None, size)) for verdict in verdicts],
        [_part(verdict, slice(size, None)) for verdict in verdicts],
    )


def _part(verdict: Verdict, rows: slice) -> Verdict:
    return Verdict(scores=verdict.scores[rows], features=tuple(feature[rows] for feature in verdict.features))


class Contest:
    """The two losses of one update on the same batch: first `judge`, then, after the discriminators' step, `speak`.

    Args:
        cfg: the losses.
        mel_weight: of the mel loss; HiFi-GAN: 45.
        generator: learns by `speak`.
        products: precision of matrix products.
        seed: draws the discriminators' first weights.
    """

    def __init__(
        self,
        cfg: AdversarialConfig,
        *,
        mel_weight: float,
        generator: Generator,
        products: Products,
        seed: int,
    ) -> None:
        self._cfg, self._mel_weight, self._products = cfg, mel_weight, products
        self._generator, self._device = generator, next(generator.parameters()).device
        self.discriminators = build_discriminators(shrink=cfg.discriminator_shrink, seed=seed).to(self._device)
        self.log_mel = LogMel(cfg.mel).to(self._device)
        self._real = self._made = torch.empty(0)

    def judge(self, batch: Batch) -> Float[Tensor, ""]:
        """Speak the batch, and say how wrong the discriminators are about it."""
        device = self._device
        self._real = batch.samples.to(device)
        with autocast(device, self._products):
            self._made = self._generator(batch.units.to(device), batch.dvector.to(device), batch.language.to(device))
            verdicts = self.discriminators(torch.cat([self._real, self._made.detach()]))
        return discriminator_loss(*split(verdicts, len(self._real)))

    def speak(self) -> Float[Tensor, ""]:
        """How far the speech of `judge` is from convincing the discriminators as they are now, and from the real."""
        with held(self.discriminators), autocast(self._device, self._products):
            with torch.no_grad():
                real = self.discriminators(self._real)
            made = self.discriminators(self._made)
        total = generator_loss(made) + self._cfg.feature_weight * feature_distance(real, made)
        mel: Float[Tensor, ""] = (self.log_mel(self._made) - self.log_mel(self._real)).abs().mean()
        return total + self._mel_weight * mel

    def task(self, name: str, *, draw: Callable[[int], Batch], validate: Callable[[], Mapping[str, float]]) -> Task:
        """What to optimise: the generator, with the discriminators as its opponent.

        Args:
            name: of the task.
            draw: gives the batch of a step.
            validate: figures of the generator as it is.
        """
        return Task(
            name=name,
            module=self._generator,
            loss=lambda _step: self.speak(),
            validate=validate,
            opponent=Opponent(module=self.discriminators, loss=lambda step: self.judge(draw(step))),
            partly=True,  # the generator's durations learn later
        )


@contextmanager
def held(module: nn.Module) -> Iterator[None]:
    """Inside, nothing computes gradients of the module's parameters."""
    module.requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        module.requires_grad_(requires_grad=True)
