"""How the processes of a training share an update: they take what one process would, and each an equal part of it.

So the effective batch and the learning rate are those of the configuration, whatever the number of processes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tongyeok.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """An update of `batches` batches of `size` `unit` each, shared among `processes`."""

    name: str
    processes: int
    batches: int
    size: float
    unit: str
    learning_rate: float

    @property
    def own(self) -> int:
        """Batches of each process in an update: gradients are accumulated over them."""
        return self.batches // self.processes

    def __str__(self) -> str:
        """One line for people."""
        total = self.batches * self.size
        return (
            f"{self.name}: {self.processes} process{'es' * (self.processes > 1)}, each "
            f"{_counted(self.own, self.size)} {self.unit} an update; effective batch {total:,g} {self.unit}, learning "
            f"rate {self.learning_rate:g}"
        )


def divide(
    name: str,
    processes: int,
    *,
    batches: int,
    size: float,
    unit: str,
    learning_rate: float,
    remedy: Callable[[int], str],
) -> Division:
    """Share the batches of an update equally.

    Args:
        name: of the training.
        processes: that share them.
        batches: of an update, as configured.
        size: of one batch, in `unit`.
        unit: what a batch is counted in.
        learning_rate: as configured, for all of them.
        remedy: settings that make an update of about this effective batch, of a given number of batches.

    Raises:
        ConfigError: the batches cannot be shared equally.
    """
    if batches % processes:
        enough = -(-batches // processes) * processes
        raise ConfigError(
            f"{name}: {processes} processes cannot share the {_counted(batches, size)} {unit} of an update equally; "
            f"expected a number of processes that divides {batches}; start so many, or take "
            f"`tongyeok params {remedy(enough)}`"
        )
    return Division(name=name, processes=processes, batches=batches, size=size, unit=unit, learning_rate=learning_rate)


def _counted(batches: int, size: float) -> str:
    return f"{batches:,g}" if size == 1 else f"{batches} x {size:,g}"
