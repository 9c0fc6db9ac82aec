"""A step of the vocoder's generator, whichever the section names; the duration predictor is small beside it."""

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tongyeok.base.audio import UNIT_HOP
from tongyeok.engine.counting import Step, count_step
from tongyeok.unit2speech.losses import SpectralLoss
from tongyeok.unit2speech.speaker_encoder import DVECTOR
from tongyeok.unit2speech.synthesis import build_generator
from tongyeok.unit2speech.vocoder import VocoderConfig


def vocoder_step(cfg: VocoderConfig, *, clusters: int, languages: int) -> Step:
    """One batch of segments through generator and loss."""
    batch, frames = cfg.batch_segments, cfg.segment_frames
    # Its few weights are real ones: some rules draw them by looking at them, and fake tensors cannot be looked at.
    generator = build_generator(cfg.generator, clusters=clusters, languages=languages, seed=cfg.seed)
    with FakeTensorMode(allow_non_fake_inputs=True):
        distance = SpectralLoss(mel_weight=cfg.mel_weight, magnitude_weight=cfg.magnitude_weight)
        units, language = torch.zeros(batch, frames, dtype=torch.long), torch.zeros(batch, dtype=torch.long)
        dvector, real = torch.zeros(batch, DVECTOR), torch.zeros(batch, frames * UNIT_HOP)

        def loss() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=cfg.products == "bfloat16"):
                made = generator(units, dvector, language)
            total: Tensor = distance(made, real).total
            return total

        return count_step(loss, generator)
