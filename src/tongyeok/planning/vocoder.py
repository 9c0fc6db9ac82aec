"""A step of the vocoder's generator, whichever the section names; the duration predictor is small beside it."""

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tongyeok.base.audio import UNIT_HOP
from tongyeok.engine.counting import Step, count_step
from tongyeok.unit2speech.adversarial import AdversarialConfig, Contest
from tongyeok.unit2speech.clips import Batch
from tongyeok.unit2speech.generator import Generator
from tongyeok.unit2speech.losses import SpectralLoss
from tongyeok.unit2speech.speaker_encoder import DVECTOR
from tongyeok.unit2speech.synthesis import build_generator
from tongyeok.unit2speech.vocoder import VocoderConfig


def vocoder_step(cfg: VocoderConfig, *, clusters: int, languages: int) -> Step:
    """One batch of segments through generator and loss, and through discriminators where there are any.

    Weights are real ones: some rules draw or move them by looking at them, and fake tensors cannot be looked at.
    """
    generator = build_generator(cfg.generator, clusters=clusters, languages=languages, seed=cfg.seed)
    return _alone(cfg, generator) if cfg.adversarial is None else _against(cfg, cfg.adversarial, generator)


def _batch(cfg: VocoderConfig) -> Batch:
    size, frames = cfg.batch_segments, cfg.segment_frames
    return Batch(
        units=torch.zeros(size, frames, dtype=torch.long),
        dvector=torch.zeros(size, DVECTOR),
        language=torch.zeros(size, dtype=torch.long),
        samples=torch.zeros(size, frames * UNIT_HOP),
    )


def _alone(cfg: VocoderConfig, generator: Generator) -> Step:
    distance = SpectralLoss(mel_weight=cfg.mel_weight, magnitude_weight=cfg.magnitude_weight)
    with FakeTensorMode(allow_non_fake_inputs=True):
        batch = _batch(cfg)

        def loss() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=cfg.products == "bfloat16"):
                made = generator(batch.units, batch.dvector, batch.language)
            total: Tensor = distance(made, batch.samples).total
            return total

        return count_step(loss, generator)


def _against(cfg: VocoderConfig, adversarial: AdversarialConfig, generator: Generator) -> Step:
    """Both turns of an update; in the generator's, what its own pass keeps is there since the discriminators'."""
    contest = Contest(adversarial, mel_weight=cfg.mel_weight, generator=generator, products=cfg.products, seed=cfg.seed)
    modules = (generator, contest.discriminators)
    with FakeTensorMode(allow_non_fake_inputs=True):
        batch = _batch(cfg)
        spoken = count_step(lambda: generator(batch.units, batch.dvector, batch.language).sum(), generator)
        judged = count_step(lambda: contest.judge(batch), *modules)
        learned = count_step(contest.speak, *modules)
    return Step(
        parameters=judged.parameters,
        kept_bytes=max(judged.kept_bytes, learned.kept_bytes + spoken.kept_bytes),
        flops=judged.flops + learned.flops,
    )
