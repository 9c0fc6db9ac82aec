"""A HiFi-GAN vocoder small enough for tests, with random weights everywhere."""

import torch

from tongyeok import config
from tongyeok.base.units import UnitSource
from tongyeok.unit2speech.hifigan import HifiganConfig
from tongyeok.unit2speech.synthesis import UnitVocoder, build_generator

SMALL = {
    "head": "hifigan", "upsample_rates": [5, 4, 4, 2, 2], "upsample_kernels": [11, 8, 8, 4, 4], "initial_channels": 32,
    "resblock_kernels": [3, 7, 11], "resblock_dilations": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "duration_dropout": 0.5,
}  # fmt: skip
SOURCE = UnitSource(codebook="c" * 64, checkpoint="", clusters=10)


def dimensions(**changes: object) -> HifiganConfig:
    """The configuration of a small generator."""
    return config.build(HifiganConfig, {**SMALL, **changes}, where="test")


def vocoder(**changes: object) -> UnitVocoder:
    """A vocoder of English and Korean; units last about two frames, and languages differ."""
    cfg = dimensions(**changes)
    generator = build_generator(cfg, clusters=SOURCE.clusters, languages=2, seed=1).eval()
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for table in (generator.conditioning.language, generator.durations.language):
            table.weight.normal_(generator=random)
        generator.durations.proj.bias.fill_(1.2)
    return UnitVocoder(generator=generator, cfg=cfg, languages=("en", "ko"), source=SOURCE)
