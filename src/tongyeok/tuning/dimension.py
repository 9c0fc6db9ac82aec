"""One searched setting: a list to choose from, or a range of numbers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tongyeok.config import section

if TYPE_CHECKING:
    from optuna import Trial

DIGITS = 4  # of a drawn number that matter
Value = str | int | float | bool | None


@section
class Dimension:
    """Either `choices`, or `low` and `high` (both included), in steps or continuous, on a logarithmic scale or not.

    A range whose `low`, `high` and `step` are whole numbers gives whole numbers.
    """

    choices: tuple[Value, ...] | None = None
    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        """Check the rules."""
        numbers = (self.low, self.high)
        if self.choices is not None:
            if self.log or any(number is not None for number in (*numbers, self.step)):
                raise ValueError("choices: expected nothing beside them, got a range too; keep one of the two")
            if len(set(self.choices)) < 2 or len(set(self.choices)) != len(self.choices):  # noqa: PLR2004
                raise ValueError(f"choices: expected at least two different ones, got {list(self.choices)}")
            return
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError(
                f"low, high: expected `choices`, or low < high, got low {self.low} and high {self.high}; give one"
            )
        if self.step is not None and (self.log or self.step <= 0):
            raise ValueError(f"step: expected more than 0 and no `log` beside it, got {self.step}; remove one")
        if self.log and self.low <= 0:
            raise ValueError(f"low: expected more than 0 on a logarithmic scale, got {self.low}; raise it")

    @property
    def whole(self) -> bool:
        """Whether it gives whole numbers."""
        return self.choices is None and all(isinstance(n, int | None) for n in (self.low, self.high, self.step))

    @property
    def extremes(self) -> Sequence[Value]:
        """Every choice, or both ends."""
        return self.choices if self.choices is not None else (self.low, self.high)

    def holds(self, value: object) -> bool:
        """Whether a value can be drawn."""
        if self.choices is not None:
            return value in self.choices
        assert self.low is not None
        assert self.high is not None
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        if self.whole:
            return isinstance(value, int) and (value - self.low) % (self.step or 1) == 0
        return self.step is None or math.isclose(remainder(value - self.low, self.step), 0, abs_tol=1e-9)

    def suggest(self, trial: "Trial", name: str) -> Value:
        """Let Optuna draw a value, of no more digits than a person would write."""
        if self.choices is not None:
            drawn: Value = trial.suggest_categorical(name, self.choices)
            return drawn
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        found = trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)
        return min(max(float(f"{found:.{DIGITS}g}"), self.low), self.high)

    def __str__(self) -> str:
        """The dimension for messages and tables."""
        if self.choices is not None:
            return " | ".join(map(str, self.choices))
        return f"{self.low} to {self.high}" + (f" by {self.step}" if self.step else "") + (", log" if self.log else "")


def remainder(value: float, step: float) -> float:
    """What is left of a value after the nearest whole number of steps."""
    return value - step * round(value / step)
