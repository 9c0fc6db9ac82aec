"""Time two ways of doing the same work in turn, so that a drifting machine treats both alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One hot path: work a second, ours and stock, and what makes the comparison fair."""

    name: str
    unit: str
    ours: float
    stock: float
    ratios: tuple[float, float, float]  # smallest, median, largest of the paired rounds
    parity: str

    def as_json(self) -> Mapping[str, object]:
        """Plain values for `results.json`."""
        low, middle, high = self.ratios
        return {
            "ours": self.ours,
            "stock": self.stock,
            "unit": self.unit,
            "ratio": middle,
            "ratio_range": [low, high],
            "parity": self.parity,
        }


def compare(name: str, *, unit: str, amount: float, ours: Work, stock: Work, rounds: int, parity: str) -> Row:
    """Run both once to warm up, then `rounds` times in turn.

    Args:
        name: the hot path.
        unit: what `amount` counts, e.g. `audio seconds`.
        amount: how much of it one call of `ours` or `stock` works through.
        ours: one round of our way; its return value is ignored here.
        stock: one round of the stock way.
        rounds: paired repetitions.
        parity: how far the two results differ, in words.
    """
    ours()
    stock()
    times: dict[str, list[float]] = {"ours": [], "stock": []}
    for _ in range(rounds):
        for side, work in (("ours", ours), ("stock", stock)):
            started = time.perf_counter()
            work()
            times[side].append(time.perf_counter() - started)
    ratios = sorted(stock / ours for ours, stock in zip(times["ours"], times["stock"], strict=True))
    return Row(
        name=name,
        unit=f"{unit} a second",
        ours=round(amount / statistics.median(times["ours"]), 2),
        stock=round(amount / statistics.median(times["stock"]), 2),
        ratios=(round(ratios[0], 2), round(statistics.median(ratios), 2), round(ratios[-1], 2)),
        parity=parity,
    )
