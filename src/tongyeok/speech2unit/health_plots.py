"""Pictures of unit health: rank-frequency, run lengths, what languages share, and which phones units stand for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from tongyeok.base.audio import UNIT_RATE
from tongyeok.speech2unit.health_phones import PhoneTable
from tongyeok.speech2unit.health_usage import Tally

SHOWN_UNITS = 120  # the most frequent units of a heat map
SHOWN_PHONES = 60
SHOWN_RUN = 50  # frames: 1 s
DOTS = 110  # per inch


def rank_frequency(path: Path, tallies: Mapping[str, Tally]) -> None:
    """Share of frames over rank of unit, one line a language; a collapsed language falls off early."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="rank of unit", ylabel="share of frames", title="How often units occur")
    for name, counts in tallies.items():
        shares = ranked_shares(counts)
        axes.plot(np.arange(1, len(shares) + 1), shares, label=f"{name}: {int((shares > 0).sum())} used")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    _save(figure, path)


def run_histogram(path: Path, tallies: Mapping[str, Tally]) -> None:
    """Share of runs over their length in milliseconds, one line a language."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="length of run (ms)", ylabel="share of runs", title="How long units last")
    for name, counts in tallies.items():
        lengths = np.arange(1, min(len(counts.runs), SHOWN_RUN + 1))
        shares = counts.runs[lengths] / max(1, counts.runs.sum())
        axes.step(lengths * 1000 / UNIT_RATE, shares, where="mid", label=name)
    axes.set_yscale("log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    _save(figure, path)


def overlap_map(path: Path, names: Sequence[str], divergence: Float[np.ndarray, "languages languages"]) -> None:
    """Jensen-Shannon divergence of every two languages' unit distributions."""
    side = 2.5 + 0.7 * len(names)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot(title="Divergence of unit distributions (bits)")
    image = axes.imshow(divergence, vmin=0, vmax=1, cmap="viridis_r")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    for row in range(len(names)):
        for column in range(len(names)):
            value = divergence[row, column]
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.5 else "black")  # noqa: PLR2004
    figure.colorbar(image)
    _save(figure, path)


def phone_map(path: Path, table: PhoneTable, *, title: str) -> None:
    """P(phone | unit) of the most frequent units and phones, units ordered by their most likely phone."""
    frequent = np.argsort(-table.counts.sum(axis=1), kind="stable")[:SHOWN_PHONES]
    units = np.argsort(-table.counts.sum(axis=0), kind="stable")[:SHOWN_UNITS]
    counts = table.counts[np.ix_(frequent, units)].astype(np.float64)
    counts = counts[:, counts.sum(axis=0) > 0]
    shares = counts / counts.sum(axis=0)
    order = np.lexsort((-shares.max(axis=0), shares.argmax(axis=0)))
    figure = Figure(figsize=(11, 1.5 + 0.17 * len(frequent)), layout="constrained")
    axes = figure.add_subplot(xlabel="units, most frequent ones", ylabel="phone", title=title)
    image = axes.imshow(shares[:, order], vmin=0, vmax=1, aspect="auto", cmap="magma_r", interpolation="nearest")
    axes.set_yticks(range(len(frequent)), [table.phones[row] for row in frequent], fontsize=7)
    axes.set_xticks([])
    figure.colorbar(image, label="P(phone | unit)")
    _save(figure, path)


def ranked_shares(counts: Tally) -> Float[np.ndarray, " clusters"]:
    """Share of frames of each unit, the most frequent first."""
    return np.asarray(np.sort(counts.frames)[::-1] / max(1, counts.frames.sum()))


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS, metadata={"Software": None})  # the same figures give the same bytes
