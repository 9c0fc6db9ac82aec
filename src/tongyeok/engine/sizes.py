"""The door to the sizes of fairseq's models: a configuration in, a counted training step out; nothing is allocated."""

import math
from importlib import import_module
from pathlib import Path
from typing import Any

from tongyeok.base.audio import SAMPLE_RATE, UNIT_RATE
from tongyeok.base.products import Products
from tongyeok.engine import hubert, recognizer
from tongyeok.engine.counting import Step
from tongyeok.engine.hubert import HubertConfig
from tongyeok.engine.recognizer import RecognizerConfig
from tongyeok.engine.translation import Architecture


def hubert_step(cfg: HubertConfig, *, clusters: int) -> Step:
    """One batch of an iteration, of `batch_audio_s` in clips of at most `longest_s`, no layer of it dropped.

    Every frame is taken to be masked, so that `clusters` labels are predicted at all of them.
    """
    values = hubert.fairseq_config(cfg, data=Path(), labels=Path(), label_rate=UNIT_RATE)["model"]
    clips, samples = _batch(cfg)
    step: Step = _room().hubert(values, clusters=clusters, products=cfg.products, clips=clips, samples=samples)
    return step


def recognizer_step(cfg: RecognizerConfig, *, pretrained: HubertConfig, letters: int) -> Step:
    """One batch of fine-tuning a HuBERT of that shape, nothing of it frozen or dropped.

    CTC's own tables, a few numbers a letter and frame, are left out.
    """
    values = hubert.fairseq_config(pretrained, data=Path(), labels=Path(), label_rate=UNIT_RATE)["model"]
    start = {"model": values, "task": {"normalize": False, "sample_rate": SAMPLE_RATE}}
    options = recognizer.fairseq_config(cfg, hubert=Path(), pretrained=start, data=Path())["model"]
    clips, samples = _batch(cfg)
    step: Step = _room().recognizer(options, letters=letters, products=cfg.products, clips=clips, samples=samples)
    return step


def _batch(cfg: HubertConfig | RecognizerConfig) -> tuple[int, int]:
    """Clips of a full batch, and samples of each: equally long, at most `longest_s`."""
    clips = math.ceil(cfg.batch_audio_s / cfg.longest_s)
    return clips, round(cfg.batch_audio_s / clips * SAMPLE_RATE)


def translator_step(
    architecture: Architecture, *, symbols: int, products: Products, sentences: int, tokens: int
) -> Step:
    """One batch of pairs with `tokens` on either side, for a dictionary of `symbols` units and tags."""
    step: Step = _room().translator(
        architecture, symbols=symbols, products=products, sentences=sentences, tokens=tokens
    )
    return step


def _room() -> Any:  # noqa: ANN401  the room is untyped
    import_module("tongyeok_fairseq")
    return import_module("tongyeok_fairseq.sizes")
