"""Stage `translator`: train one Transformer to translate units in every direction of the bitext."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tongyeok.base.files import write_json
from tongyeok.base.stage import Context
from tongyeok.config import section
from tongyeok.engine.translation import Architecture, Masking, Optimisation, UnitTranslator, train
from tongyeok.unit2unit.curves import plot_losses, write_curves
from tongyeok.unit2unit.pairs import direction_of, directions_in
from tongyeok.unit2unit.pretraining import Pretraining, pretrain
from tongyeok.unit2unit.tags import tag_of, units_of
from tongyeok.unit2unit.unit_bleu import unit_bleu


@section
class TranslatorConfig:
    """Section `translator`."""

    architecture: Architecture
    optimisation: Optimisation
    pretraining: Pretraining | None  # masked unit pre-training before translation; null begins with random weights
    source_masking: Masking | None  # spans of the training sources masked while translation is learned
    report_every: int  # updates between two points of the training curve
    validate_every: int  # updates between two validations; the resumable state is saved as often
    checkpoint: Literal["last", "best"]  # keep the state after the last update, or that with the lowest validation loss
    valid_sentences: int  # validation pairs that are translated for unit-BLEU, spread over the directions that are
    # trained; as many again over those that are not (bitext.train_directions), for zero-shot unit-BLEU
    beam: int  # hypotheses kept per sentence there

    def __post_init__(self) -> None:
        """Check the rules."""
        for name in ("report_every", "validate_every", "valid_sentences", "beam"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Folders that this stage reads."""

    bitext: Path


def run(cfg: TranslatorConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Write `checkpoint.pt` (stock fairseq loads it), `dict.txt`, `curves.csv` and `plots/curves.png`.

    Curves of a pre-training stand beside them as `pretraining/curves.csv` and `pretraining/plots/curves.png`.
    Directions without a training pair have a unit-BLEU of their own, `zero_shot_unit_bleu`.

    Raises:
        TrainingError: the training diverged, a sentence does not fit into a batch, or there is no `<mask>` to use.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pretrained = None
    if cfg.pretraining is not None:
        pretrained = pretrain(
            cfg.pretraining,
            inputs.bitext,
            architecture=cfg.architecture,
            report_every=cfg.report_every,
            validate_every=cfg.validate_every,
            context=context,
        )
    trained = train(
        inputs.bitext / "bin",
        architecture=cfg.architecture,
        optimisation=cfg.optimisation,
        report_every=cfg.report_every,
        validate_every=cfg.validate_every,
        scratch=context.scratch,
        on_metrics=context.on_metrics,
        masking=cfg.source_masking,
        initial=pretrained.last if pretrained else None,
    )
    if not context.leads():
        return {}
    chosen = trained.best if cfg.checkpoint == "best" else trained.last
    shutil.copyfile(chosen, outputs / "checkpoint.pt")
    shutil.copyfile(inputs.bitext / "dict.txt", outputs / "dict.txt")
    write_curves(outputs / "curves.csv", trained.curves)
    plot_losses(outputs / "plots" / "curves.png", trained.curves)
    if pretrained:
        write_curves(outputs / "pretraining" / "curves.csv", pretrained.curves)
        plot_losses(outputs / "pretraining" / "plots" / "curves.png", pretrained.curves)

    translator = UnitTranslator(outputs / "checkpoint.pt", outputs / "dict.txt", device=device)
    scores = validate(translator, inputs.bitext, sentences=cfg.valid_sentences, beam=cfg.beam)
    metrics = {
        **scores,
        "valid_loss": valid_loss(trained.curves, cfg.checkpoint),
        "parameters": float(trained.parameters),
        "updates": float(trained.updates),
    }
    if pretrained:
        metrics["pretraining_valid_loss"] = valid_loss(pretrained.curves, "last")
        metrics["pretraining_updates"] = float(pretrained.updates)
    context.on_metrics(trained.updates, {f"valid/{name}": score for name, score in scores.items()})
    write_json(outputs / "metrics.json", metrics)
    return metrics


def validate(translator: UnitTranslator, bitext: Path, *, sentences: int, beam: int) -> dict[str, float]:
    """Unit-BLEU of up to `sentences` validation pairs of trained directions, and of as many of untrained ones."""
    sources, targets = read_pairs(bitext, "valid")
    trained = directions_in(bitext, "train")
    rows: dict[str, list[int]] = {"unit_bleu": [], "zero_shot_unit_bleu": []}
    for row, pair in enumerate(zip(sources, targets, strict=True)):
        rows["unit_bleu" if direction_of(*pair) in trained else "zero_shot_unit_bleu"].append(row)
    scores = {}
    for name, found in rows.items():
        chosen = [found[place] for place in spread(len(found), sentences)]
        if chosen:
            tags = [tag_of(targets[row]) for row in chosen]
            hypotheses = translate_all(translator, [sources[row] for row in chosen], tags, beam=beam)
            scores[name] = unit_bleu(hypotheses, [units_of(targets[row]) for row in chosen]).score
    return scores


def translate_all(
    translator: UnitTranslator, sources: Sequence[str], tags: Sequence[str], *, beam: int
) -> list[np.ndarray]:
    """Translate each source into the language of its tag, in order."""
    found: dict[int, np.ndarray] = {}
    for tag in sorted(set(tags)):
        rows = [row for row, wanted in enumerate(tags) if wanted == tag]
        hypotheses = translator.translate([sources[row] for row in rows], tag=tag, beam=beam)
        found.update(zip(rows, hypotheses, strict=True))
    return [found[row] for row in range(len(sources))]


def read_pairs(bitext: Path, split: str) -> tuple[list[str], list[str]]:
    """Tagged source and target sentences of a split."""
    sources, targets = (
        (bitext / f"{split}.{side}").read_text(encoding="utf-8").splitlines() for side in ("src", "tgt")
    )
    return sources, targets


def spread(total: int, most: int) -> list[int]:
    """Up to `most` positions spread evenly over `total`."""
    return [round(position) for position in np.linspace(0, total - 1, min(total, most)).tolist()]


def valid_loss(curves: Sequence[Mapping[str, float]], checkpoint: Literal["last", "best"]) -> float:
    """Validation loss (bits a token, label smoothing included) of the kept checkpoint."""
    losses = [row["valid/loss"] for row in curves if "valid/loss" in row]
    return min(losses) if checkpoint == "best" else losses[-1]
