"""Log a stage as an MLflow run. The only file that imports mlflow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tongyeok.registry import Stage


class Untracked:
    """What a stage without experiment gets: it forgets everything."""

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Forget one point of the curves."""

    def finish(self, metrics: Mapping[str, float], outputs: Path) -> None:
        """Forget the results."""


@contextmanager
def stage_run(
    stage: Stage, *, name: str, params: Mapping[str, Any], cfg: object, inputs: object, scratch: Path
) -> Iterator[Untracked]:
    """Track one execution of a stage."""
    del stage, name, params, cfg, inputs, scratch
    yield Untracked()
