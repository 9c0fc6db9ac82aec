"""What every stage's `run` receives besides its configuration, inputs and output folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tongyeok.base.executor import Executor, Here

OnMetrics = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The edges of a stage, injected.

    `scratch` is a private folder that survives an interrupted run of the same configuration on the same inputs by the
    same code, and is removed when the stage succeeds: trainers keep their resumable state there. `threads` is the
    pinned number of CPU threads. `on_metrics(step, values)` receives training curves. `executor` is where a sharded
    stage computes its parts. A stage that trains in several processes asks `leads()` once, when it has trained: they
    part there, and only the one that hears true writes.
    """

    scratch: Path
    threads: int
    on_metrics: OnMetrics
    executor: Executor = field(default_factory=Here)
    leads: Callable[[], bool] = lambda: True


def silent(scratch: Path, *, threads: int = 1) -> Context:
    """A context that forgets its metrics, for tests and library use."""
    return Context(scratch=scratch, threads=threads, on_metrics=lambda _step, _values: None)
