"""Time two ways of doing the same work in turn, so that a drifting machine treats both alike."""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[], object]
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One way of doing the work: how much of it a second, and the most memory beyond what the process held before."""

    speed: float
    speed_range: tuple[float, float]
    memory_mib: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One hot path, or a variant of it (`path/variant`): ours, stock, and what makes the comparison fair."""

    name: str
    unit: str
    ours: Side
    stock: Side
    ratios: tuple[float, float, float]  # smallest, median, largest of the paired rounds
    parity: str  # how far the two results differ
    limit: str  # what bounds the work on this machine, and how near ours is

    def as_json(self) -> Mapping[str, object]:
        """Plain values for `results.json`."""
        low, middle, high = self.ratios
        return {
            "ours": self.ours.speed,
            "ours_range": list(self.ours.speed_range),
            "ours_memory_mib": self.ours.memory_mib,
            "stock": self.stock.speed,
            "stock_range": list(self.stock.speed_range),
            "stock_memory_mib": self.stock.memory_mib,
            "unit": self.unit,
            "ratio": middle,
            "ratio_range": [low, high],
            "parity": self.parity,
            "limit": self.limit,
        }


def compare(
    name: str,
    *,
    unit: str,
    amount: float,
    ours: Work,
    stock: Work,
    rounds: int,
    parity: str,
    limit: str | Callable[[float], str],
) -> Row:
    """Run both once to warm up, then `rounds` times in turn.

    Args:
        name: the hot path.
        unit: what `amount` counts, e.g. `audio seconds`.
        amount: how much of it one call of `ours` or `stock` works through.
        ours: one round of our way; its return value is ignored here.
        stock: one round of the stock way.
        rounds: paired repetitions.
        parity: how far the two results differ, in words.
        limit: what bounds the work, in words; or what says so, given the speed of ours (amount a second).
    """
    sides = {"ours": ours, "stock": stock}
    memory = {side: peak_memory(work) for side, work in sides.items()}
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, work in sides.items():
            started = time.perf_counter()
            work()
            times[side].append(time.perf_counter() - started)
    ratios = sorted(stock / ours for ours, stock in zip(times["ours"], times["stock"], strict=True))
    found = {side: _side(amount, times[side], memory[side]) for side in sides}
    return Row(
        name=name,
        unit=f"{unit} a second",
        ours=found["ours"],
        stock=found["stock"],
        ratios=(round(ratios[0], 2), round(statistics.median(ratios), 2), round(ratios[-1], 2)),
        parity=parity,
        limit=limit if isinstance(limit, str) else limit(found["ours"].speed),
    )


def peak_memory(work: Work) -> float:
    """MiB that the process grows by, at most, while `work` runs."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what earlier work freed would hide the growth
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _status("VmRSS")
    work()
    return round((_status("VmHWM") - before) / MIB, 1)


def _side(amount: float, times: list[float], memory: float) -> Side:
    return Side(
        speed=round(amount / statistics.median(times), 3),
        speed_range=(round(amount / max(times), 3), round(amount / min(times), 3)),
        memory_mib=memory,
    )


def _status(field: str) -> int:
    """A size in bytes from the process's status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))
