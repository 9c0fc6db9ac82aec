"""The vocoder: an update of HiFi-GAN beside the plain recipe, and synthesis beside fairseq's vocoder."""

import copy
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
import yaml
from fairseq.models.text_to_speech.vocoder import CodeHiFiGANVocoder
from paired import Row, compare
from probes import gemm_peak
from torch.utils.flop_counter import FlopCounterMode

from tongyeok import config
from tongyeok.base.audio import UNIT_HOP, UNIT_RATE
from tongyeok.base.units import UnitSource
from tongyeok.unit2speech.adversarial import (
    AdversarialConfig,
    Contest,
    discriminator_loss,
    feature_distance,
    generator_loss,
)
from tongyeok.unit2speech.clips import Batch
from tongyeok.unit2speech.export import export
from tongyeok.unit2speech.generator import Generator
from tongyeok.unit2speech.mel import LogMel
from tongyeok.unit2speech.reference_config import reference_of
from tongyeok.unit2speech.speaker_encoder import DVECTOR
from tongyeok.unit2speech.synthesis import UnitVocoder, build_generator
from tongyeok.unit2speech.training import BETAS, Player
from tongyeok.unit2speech.vocoder import VocoderConfig, speech_schedule

CLUSTERS = 1000
LANGUAGES = ("en", "ko")
CLIP_FRAMES = (90, 160, 210)  # units of 20 ms: short, middling and long sentences of the default corpus
ROUNDS = 5
TRAINING_DIFFERENCE, SPEECH_DIFFERENCE = 1e-4, 1e-6  # relative; of full scale

Update = Callable[[], tuple[float, float]]  # gives the discriminators' loss and the generator's


def rows() -> list[Row]:
    """Training as HiFi-GAN; synthesis by HiFi-GAN at AV2AV's size and by the demo's head."""
    return [*_training(), *_synthesis()]


def _training() -> list[Row]:
    cfg = _section("hifigan")
    assert cfg.adversarial is not None
    generator = build_generator(cfg.generator, clusters=CLUSTERS, languages=len(LANGUAGES), seed=1)
    batch = _batch(cfg)
    # Spectral normalisation goes on measuring at every look, and the recipe looks four times: it is held here.
    held = [side(cfg, _contest(cfg, generator), batch, held=True)() for side in (_ours, _recipe)]
    difference = max(abs(one - other) / other for one, other in zip(*held, strict=True))
    if difference > TRAINING_DIFFERENCE:
        raise AssertionError(f"vocoder_train: losses {held[0]} and {held[1]}")
    ours, stock = (side(cfg, _contest(cfg, generator), batch) for side in (_ours, _recipe))
    flops = _flops(ours)
    return [
        compare(
            "vocoder_train",
            unit="updates",
            amount=1,
            ours=ours,
            stock=stock,
            rounds=ROUNDS,
            parity=f"both losses of an update equal to {difference:.1e} relative, same weights and batch",
            limit=lambda speed: _share(flops, speed, of="update"),
        )
    ]


def _ours(cfg: VocoderConfig, contest: Contest, batch: Batch, *, held: bool = False) -> Update:
    """An update as `optimise` makes it; with `held`, in evaluation mode."""
    task = contest.task("speech", draw=lambda _step: batch, validate=dict)
    assert task.opponent is not None
    schedule = speech_schedule(cfg, clips=1000)
    players = [Player(side.module, side.loss, schedule) for side in (task.opponent, task)]
    for player in players:
        player.module.train(not held)

    def update() -> tuple[float, float]:
        judged, spoken = (player.update(0, name="benchmark") for player in players)
        return judged, spoken

    return update


def _recipe(cfg: VocoderConfig, contest: Contest, batch: Batch, *, held: bool = False) -> Update:
    """An update in the order of `train.py` of jik876/hifi-gan, whose modules `tests/parity` holds ours to.

    Real and made are judged by themselves, twice each, with gradients towards everything; mel filters and window are
    built at every call, since the key of the reference's cache never hits.
    """
    generator, discriminators = contest.task("", draw=lambda _step: batch, validate=dict).module, contest.discriminators
    sides = (discriminators, generator)
    judges, speaks = (
        torch.optim.AdamW(side.parameters(), cfg.learning_rate, betas=BETAS, weight_decay=cfg.weight_decay)
        for side in sides
    )
    for side in sides:
        side.train(not held)
    adversarial = cfg.adversarial
    assert adversarial is not None

    def update() -> tuple[float, float]:
        real, made = batch.samples, generator(batch.units, batch.dvector, batch.language)
        mels = [LogMel(adversarial.mel)(samples) for samples in (real, made)]
        judges.zero_grad()
        judged = discriminator_loss(discriminators(real), discriminators(made.detach()))
        judged.backward()
        judges.step()
        speaks.zero_grad()
        of_real, of_made = discriminators(real), discriminators(made)
        spoken = generator_loss(of_made) + adversarial.feature_weight * feature_distance(of_real, of_made)
        spoken = spoken + cfg.mel_weight * (mels[1] - mels[0]).abs().mean()
        spoken.backward()
        speaks.step()
        return float(judged.detach()), float(spoken.detach())

    return update


def _synthesis() -> list[Row]:
    paper = _section("paper").generator
    spoken = _vocoder(build_generator(paper, clusters=CLUSTERS, languages=len(LANGUAGES), seed=1), paper)
    stock, random = _fairseq(spoken), np.random.default_rng(1)
    voice = random.random(DVECTOR).astype(np.float32)
    voice /= np.linalg.norm(voice)
    clips = [random.integers(CLUSTERS, size=frames).astype(np.int32) for frames in CLIP_FRAMES]

    def theirs() -> list[np.ndarray]:  # as `generate_waveform_from_code.py` calls it
        asked = [
            {"code": torch.from_numpy(clip)[None].long(), "spkr": torch.from_numpy(voice)[None, None]} for clip in clips
        ]
        return [stock(each).numpy() for each in asked]

    def said(vocoder: UnitVocoder) -> list[np.ndarray]:
        return [vocoder.synthesise(clip, dvector=voice, lang="en", predict_durations=False) for clip in clips]

    demo = _section("demo").generator
    fourier = _vocoder(build_generator(demo, clusters=CLUSTERS, languages=len(LANGUAGES), seed=1), demo)
    folded = spoken.folded()
    difference = max(float(np.abs(a - b).max()) for a, b in zip(said(folded), theirs(), strict=True))
    if difference > SPEECH_DIFFERENCE:
        raise AssertionError(f"vocoder_synthesis: waveforms differ by {difference}")
    parities = {
        "vocoder_synthesis": (folded, folded, f"waveforms equal to {difference:.1e} of full scale, same weights"),
        "vocoder_synthesis/fourier": (fourier, fourier.folded(), "another model; the same units and as many samples"),
    }
    seconds = sum(CLIP_FRAMES) / UNIT_RATE
    found = []
    for name, (counted, vocoder, parity) in parities.items():  # the folded head's products have no counter
        flops = _flops(lambda counted=counted: said(counted)) / seconds
        found.append(
            compare(
                name,
                unit="audio seconds",
                amount=seconds,
                ours=lambda vocoder=vocoder: said(vocoder),
                stock=theirs,
                rounds=ROUNDS,
                parity=parity,
                limit=lambda speed, flops=flops: (
                    f"real-time factor {1 / speed:.4f}; {_share(flops, speed, of='second')}"
                ),
            )
        )
    return found


def _section(profile: str) -> VocoderConfig:
    path = Path(f"conf/vocoder/{profile}.yaml")
    return config.build(VocoderConfig, yaml.safe_load(path.read_text(encoding="utf-8")), where=str(path))


def _batch(cfg: VocoderConfig) -> Batch:
    random, size = torch.Generator().manual_seed(1), cfg.batch_segments
    return Batch(
        units=torch.randint(CLUSTERS, (size, cfg.segment_frames), generator=random),
        dvector=torch.nn.functional.normalize(torch.rand(size, DVECTOR, generator=random)),
        language=torch.arange(size) % len(LANGUAGES),
        samples=0.1 * torch.randn(size, cfg.segment_frames * UNIT_HOP, generator=random),
    )


def _contest(cfg: VocoderConfig, generator: Generator) -> Contest:
    adversarial = cfg.adversarial
    assert isinstance(adversarial, AdversarialConfig)
    return Contest(
        adversarial, mel_weight=cfg.mel_weight, generator=copy.deepcopy(generator), products=cfg.products, seed=1
    )


def _vocoder(generator: Generator, cfg: Any) -> UnitVocoder:
    source = UnitSource(codebook="b" * 64, checkpoint="", clusters=CLUSTERS)
    return UnitVocoder(generator=generator.eval(), cfg=cfg, languages=LANGUAGES, source=source)


def _fairseq(vocoder: UnitVocoder) -> CodeHiFiGANVocoder:
    """Fairseq's vocoder with the same weights."""
    folder = Path(mkdtemp(prefix="tongyeok-bench-"))
    export(vocoder, lang="en", outputs=folder)
    return CodeHiFiGANVocoder(str(folder / "model.pt"), reference_of(vocoder.cfg, clusters=CLUSTERS))


def _flops(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def _share(flops: float, speed: float, *, of: str) -> str:
    """What part of the machine's float32 products the work makes use of."""
    peak = gemm_peak()
    return (
        f"{flops / 1e9:.1f} GFLOP of products a {of}; at {flops * speed / 1e9:.0f} GFLOP/s ours reaches "
        f"{100 * flops * speed / peak:.0f} % of this machine's float32 products ({peak / 1e9:.0f} GFLOP/s)"
    )
