"""Log stages as MLflow runs, without ever costing them a step or a point.

A stage writes its header, curves and results into a local journal; a process beside it sends them to MLflow, best
effort. What could not be sent when the stage ends is kept in `.tongyeok/unsent/` and sent by the next tracked stage (or
`make ui`). `TONGYEOK_TRACKING=off` switches all of it off; `MLFLOW_TRACKING_URI` sends it elsewhere.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tongyeok.registry import Stage
from tongyeok.runs import provenance
from tongyeok.runs.journal import Header, Journal, Result

DATABASE = Path("mlruns/mlflow.db")
ARTIFACTS = Path("mlruns/artifacts")
TUNING = "tune"  # experiment of studies and their trials
PATIENCE_SECONDS = 60.0  # how long a finished stage waits for the last points to be sent
PATIENCE_AFTER_FAILURE_SECONDS = 15.0


class StageRun(Protocol):
    """What the runner tells about one execution of a stage."""

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Take one point of the training curves."""

    def finish(self, metrics: Mapping[str, float], outputs: Path, timings: Sequence[Mapping[str, Any]]) -> None:
        """Take the results, once the outputs are in place; `timings` are this rebuild's stages so far."""


class Untracked:
    """A run that nobody logs: stages without experiment, and tests."""

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Forget one point."""

    def finish(self, metrics: Mapping[str, float], outputs: Path, timings: Sequence[Mapping[str, Any]]) -> None:
        """Forget the results."""


class Tracked:
    """A run written to a journal, which a process beside the stage sends to MLflow."""

    def __init__(self, journal: Journal) -> None:
        """Start sending `journal`."""
        self._journal = journal
        self._sender = _start_sender(journal.folder)

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point of the curves."""
        self._journal.point(step, values)

    def finish(self, metrics: Mapping[str, float], outputs: Path, timings: Sequence[Mapping[str, Any]]) -> None:
        """Write the results and wait, for a limited time, until everything is sent."""
        result = Result(
            status="FINISHED",
            ended_ms=_now_ms(),
            metrics=dict(metrics),
            outputs=str(outputs.resolve()),
            models=provenance.models(outputs),
            timings=[dict(row) for row in timings],
        )
        self._journal.end(result)
        if not self._wait(PATIENCE_SECONDS):
            kept = self._journal.keep(outputs)
            print(
                f"tracking: MLflow did not take everything; kept in {kept} for the next tracked stage", file=sys.stderr
            )

    def fail(self, status: str) -> None:
        """Note that the stage ended by an error (`FAILED`) or by the user (`KILLED`); a rerun goes on with this run."""
        self._journal.end(Result(status=status, ended_ms=_now_ms(), metrics={}, outputs="", models={}, timings=[]))
        self._wait(PATIENCE_AFTER_FAILURE_SECONDS)

    def _wait(self, seconds: float) -> bool:
        if self._sender is None:
            return False
        assert self._sender.stdin is not None
        self._sender.stdin.close()
        try:
            return self._sender.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            self._sender.kill()
            self._sender.wait()
            return False


@contextmanager
def stage_run(
    stage: Stage, *, name: str, params: Mapping[str, Any], inputs: Mapping[str, Path], folder: Path
) -> Iterator[StageRun]:
    """Track one execution of a stage.

    Args:
        stage: its entry in the registry; without an experiment nothing is logged.
        name: the stage's name with its iteration, e.g. `hubert@1`.
        params: the whole of `params.yaml`, with overrides applied.
        inputs: input name -> path, absent inputs left out.
        folder: private folder for the journal; the same one for the rerun of an interrupted stage.

    Yields:
        The receiver of curves and results.
    """
    if stage.experiment is None or os.environ.get("TONGYEOK_TRACKING") == "off":
        yield Untracked()
        return
    journal = Journal.open(folder, lambda: _header(stage, name=name, params=params, inputs=inputs))
    run = Tracked(journal)
    try:
        yield run
    except Exception:
        run.fail("FAILED")
        raise
    except BaseException:
        run.fail("KILLED")
        raise


@contextmanager
def tuning_run(
    *,
    run: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    inputs: Mapping[str, str],
    folder: Path,
    study: tuple[str, str] | None,
) -> Iterator[StageRun]:
    """Track a study, or one of its trials as a run below the study's.

    Args:
        run: our own unique name of the run; what is told under the same name later is added to it.
        name: what people call it.
        params: settings by their dotted names.
        tags: further facts.
        inputs: input name -> digest of its contents.
        folder: private folder for the journal.
        study: of a trial, its study's `run` and name.

    Yields:
        The receiver of curves and results.
    """
    if os.environ.get("TONGYEOK_TRACKING") == "off":
        yield Untracked()
        return
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    header = Header(
        run=run,
        experiment=TUNING,
        name=name,
        started_ms=_now_ms(),
        params=_flatten(params),
        tags={**provenance.git_tags(), **tags},
        inputs=dict(inputs),
        upstream_models={},
        rebuild=None,
        uri=uri or f"sqlite:///{DATABASE.resolve()}",
        artifacts=None if uri else str(ARTIFACTS.resolve()),
        parent=study and study[0],
        parent_name=study and study[1],
    )
    tracked = Tracked(Journal.open(folder, lambda: header))
    try:
        yield tracked
    except Exception:
        tracked.fail("FAILED")
        raise
    except BaseException:
        tracked.fail("KILLED")
        raise


def _header(stage: Stage, *, name: str, params: Mapping[str, Any], inputs: Mapping[str, Path]) -> Header:
    assert stage.experiment is not None
    origin = provenance.origin(inputs)
    iteration = name.partition("@")[2]
    own = params[stage.name][iteration] if iteration else params[stage.name]
    values = {stage.name: own, "runtime": params["runtime"]}
    for upstream in origin.stages:
        section, _, item = upstream.partition("@")
        values[upstream.replace("@", ".")] = params[section][item] if item else params[section]
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return Header(
        run=provenance.unique(),
        experiment=stage.experiment,
        name=name,
        started_ms=_now_ms(),
        params=_flatten(values) | ({"iteration": iteration} if iteration else {}),
        tags={**provenance.git_tags(), "stage": name},
        inputs=origin.digests,
        upstream_models=origin.models,
        rebuild=provenance.rebuild(),
        uri=uri or f"sqlite:///{DATABASE.resolve()}",
        artifacts=None if uri else str(ARTIFACTS.resolve()),
    )


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def _start_sender(folder: Path) -> "subprocess.Popen[bytes] | None":
    """Start the process that sends `folder`; it goes on until its standard input closes."""
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "OMP_NUM_THREADS": "1",
    }
    try:
        with (folder / "sender.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  our own module, on our own folder
                [sys.executable, "-m", "tongyeok.tracking", "--watch", str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt from the terminal is for the stage alone
                env={**quiet, **os.environ},
            )
    except OSError as error:
        print(f"tracking: the sender did not start ({error}); the journal is kept", file=sys.stderr)
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
