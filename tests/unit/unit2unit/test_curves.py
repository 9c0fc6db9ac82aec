"""Training curves."""

from pathlib import Path

from tongyeok.unit2unit.curves import plot_losses, write_curves

CURVES = [
    {"step": 10, "train/loss": 5.25, "train/lr": 0.001, "train/gnorm": 1.5},
    {"step": 20, "train/loss": 4.0, "valid/loss": 4.5},
]


def test_table_has_a_row_a_report(tmp_path: Path) -> None:
    """A figure that was not taken at a step is left empty."""
    write_curves(tmp_path / "curves.csv", CURVES)
    assert (tmp_path / "curves.csv").read_text().splitlines() == [
        "step,train_loss,valid_loss,train_nll,valid_nll,learning_rate,gradient_norm",
        "10,5.25,,,,0.001,1.5",
        "20,4,4.5,,,,",
    ]


def test_picture_repeats(tmp_path: Path) -> None:
    """The same curves make the same bytes."""
    for name in ("a", "b"):
        plot_losses(tmp_path / name / "curves.png", CURVES)
    assert (tmp_path / "a" / "curves.png").read_bytes() == (tmp_path / "b" / "curves.png").read_bytes()
