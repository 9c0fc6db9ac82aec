"""Training curves as a table for DVC and as a picture for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tongyeok.base.files import write_text

COLUMNS = {  # of curves.csv -> what fairseq reports
    "train_loss": "train/loss",
    "valid_loss": "valid/loss",
    "train_nll": "train/nll_loss",
    "valid_nll": "valid/nll_loss",
    "learning_rate": "train/lr",
    "gradient_norm": "train/gnorm",
}


def write_curves(path: Path, curves: Sequence[Mapping[str, float]]) -> None:
    """Write `step,train_loss,…` rows; a figure that was not taken at a step is left empty."""
    lines = [",".join(["step", *COLUMNS])]
    for row in curves:
        values = [f"{row[name]:.6g}" if name in row else "" for name in COLUMNS.values()]
        lines.append(",".join([f"{row['step']:.0f}", *values]))
    write_text(path, "\n".join(lines) + "\n")


def plot_losses(path: Path, curves: Sequence[Mapping[str, float]]) -> None:
    """Draw training and validation loss over updates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for label, name in (("train", "train/loss"), ("valid", "valid/loss")):
        points = [(row["step"], row[name]) for row in curves if name in row]
        axes.plot(*zip(*points, strict=True), marker="." if label == "valid" else "", label=label)
    axes.set_xlabel("updates")
    axes.set_ylabel("label-smoothed loss, bits a token")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
