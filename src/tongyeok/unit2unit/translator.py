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
from tongyeok.engine.translation import Architecture, Optimisation, UnitTranslator, train
from tongyeok.unit2unit.curves import plot_losses, write_curves
from tongyeok.unit2unit.unit_bleu import unit_bleu


@section
class TranslatorConfig:
    """Section `translator`."""

    architecture: Architecture
    optimisation: Optimisation
    report_every: int  # updates between two points of the training curve
    validate_every: int  # updates between two validations; the resumable state is saved as often
    checkpoint: Literal["last", "best"]  # keep the state after the last update, or that with the lowest validation loss
    valid_sentences: int  # validation pairs that are translated for unit-BLEU, spread over all directions
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

    Raises:
        TrainingError: the training diverged, or a sentence does not fit into a batch.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trained = train(
        inputs.bitext / "bin",
        architecture=cfg.architecture,
        optimisation=cfg.optimisation,
        report_every=cfg.report_every,
        validate_every=cfg.validate_every,
        scratch=context.scratch,
        on_metrics=context.on_metrics,
    )
    chosen = trained.best if cfg.checkpoint == "best" else trained.last
    shutil.copyfile(chosen, outputs / "checkpoint.pt")
    shutil.copyfile(inputs.bitext / "dict.txt", outputs / "dict.txt")
    write_curves(outputs / "curves.csv", trained.curves)
    plot_losses(outputs / "plots" / "curves.png", trained.curves)

    sources, targets = read_pairs(inputs.bitext, "valid")
    keep = spread(len(sources), cfg.valid_sentences)
    sources, targets = [sources[row] for row in keep], [targets[row] for row in keep]
    translator = UnitTranslator(outputs / "checkpoint.pt", outputs / "dict.txt", device=device)
    hypotheses = translate_all(translator, sources, [target.partition(" ")[0] for target in targets], beam=cfg.beam)
    score = unit_bleu(hypotheses, [units_of(target) for target in targets])
    metrics = {
        "unit_bleu": score.score,
        "valid_loss": valid_loss(trained.curves, cfg.checkpoint),
        "parameters": float(trained.parameters),
        "updates": float(trained.updates),
    }
    context.on_metrics(trained.updates, {"valid/unit_bleu": score.score})
    write_json(outputs / "metrics.json", metrics)
    return metrics


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


def units_of(sentence: str) -> np.ndarray:
    """The unit ids of a tagged sentence, without its tag."""
    return np.array(sentence.split()[1:], dtype=np.int32)


def spread(total: int, most: int) -> list[int]:
    """Up to `most` positions spread evenly over `total`."""
    return [round(position) for position in np.linspace(0, total - 1, min(total, most)).tolist()]


def valid_loss(curves: Sequence[Mapping[str, float]], checkpoint: Literal["last", "best"]) -> float:
    """Validation loss (bits a token, label smoothing included) of the kept checkpoint."""
    losses = [row["valid/loss"] for row in curves if "valid/loss" in row]
    return min(losses) if checkpoint == "best" else losses[-1]
