"""A translator small enough to train in a second."""

from collections.abc import Mapping
from pathlib import Path

from tongyeok.base.stage import Context, OnMetrics
from tongyeok.engine.translation import Architecture, Masking, Optimisation
from tongyeok.unit2unit import translator
from tongyeok.unit2unit.pretraining import Pretraining


def architecture() -> dict[str, object]:
    """One layer a side, 16 wide."""
    return {
        "encoder_layers": 1,
        "decoder_layers": 1,
        "width": 16,
        "ffn_width": 32,
        "heads": 2,
        "pre_norm": True,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
    }


def optimisation() -> dict[str, object]:
    """Eight updates of a few sentences."""
    return {
        "updates": 8,
        "tokens_per_batch": 200,
        "batches_per_update": 1,
        "learning_rate": 0.01,
        "warmup_updates": 2,
        "schedule": "polynomial",
        "optimizer": "adam",
        "adam_betas": (0.9, 0.98),
        "weight_decay": 0.0,
        "clip_norm": 1.0,
        "label_smoothing": 0.1,
        "products": "float32",
        "patience": None,
        "seed": 1,
    }


def pretraining(masking: Masking, learns: str = "restoration", **changes: object) -> Pretraining:
    """A masked pre-training; `changes` go to its optimisation."""
    return Pretraining(
        learns=learns,  # type: ignore[arg-type]
        masking=masking,
        optimisation=Optimisation(**(optimisation() | {"tokens_per_batch": 600} | changes)),  # type: ignore[arg-type]
    )


def config(
    *, validate_every: int = 4, parts: Mapping[str, object] | None = None, **changes: object
) -> translator.TranslatorConfig:
    """The section `translator`; `changes` go to its optimisation, `parts` in place of its other fields."""
    fields: dict[str, object] = {
        "architecture": Architecture(**architecture()),  # type: ignore[arg-type]
        "optimisation": Optimisation(**(optimisation() | changes)),  # type: ignore[arg-type]
        "pretraining": None,
        "source_masking": None,
        "report_every": 2,
        "validate_every": validate_every,
        "checkpoint": "last",
        "valid_sentences": 6,
        "beam": 2,
    }
    return translator.TranslatorConfig(**(fields | dict(parts or {})))  # type: ignore[arg-type]


def run(
    bitext: Path,
    root: Path,
    cfg: translator.TranslatorConfig,
    *,
    on_metrics: OnMetrics = lambda _step, _values: None,
) -> dict[str, float]:
    """Run the stage on a bitext folder: state in `root/scratch`, outputs in `root/out`."""
    (root / "scratch").mkdir(parents=True, exist_ok=True)
    (root / "out").mkdir(exist_ok=True)
    context = Context(scratch=root / "scratch", threads=1, on_metrics=on_metrics)
    return translator.run(cfg, inputs=translator.Inputs(bitext=bitext), outputs=root / "out", context=context)
