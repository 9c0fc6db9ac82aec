"""Run one stage: read its section, lock its scratch folder, run it into a temporary folder, log it, put it in place.

Nothing half-written is ever taken for whole: outputs appear by one rename, after everything is on disk. Of several
processes that torchrun started on one stage, the first does all that; the others only train along.
"""

import dataclasses
import importlib
import json
import os
import resource
import shlex
import shutil
import time
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tongyeok import config, workplace
from tongyeok.base.executor import Here
from tongyeok.base.launch import expect_one, launched
from tongyeok.base.stage import Context
from tongyeok.errors import ConfigError, TongyeokError
from tongyeok.executors.place import HERE, ON, place
from tongyeok.registry import PARALLEL, Stage
from tongyeok.runtime import Runtime, die_with_parent, pin_threads
from tongyeok.workplace import WORKPLACE

TIMINGS = WORKPLACE / "timings.jsonl"
LAUNCHER = "TONGYEOK_LAUNCH"  # variable: what starts the processes of a training


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """What a stage's module declares: the classes of its configuration section and of its inputs."""

    module: ModuleType
    config: type[Any]
    inputs: type[Any]


def interface(stage: Stage) -> Interface:
    """Import a stage's module and read the signature of its `run(cfg, *, inputs, outputs, context)`."""
    module = importlib.import_module(stage.module)
    hints = typing.get_type_hints(module.run)
    return Interface(module=module, config=hints["cfg"], inputs=hints["inputs"])


def execute(
    stage: Stage,
    *,
    item: str | None,
    inputs: Any,  # noqa: ANN401  each stage has its own class
    outputs: Path,
    params_path: Path,
    settings: Sequence[str] = (),
    on: str | None = None,
    since: float | None = None,
) -> Mapping[str, float]:
    """Run `stage` and return its metrics.

    Args:
        stage: its entry in the registry.
        item: the iteration, for a stage that has them.
        inputs: an instance of the stage's `Inputs`.
        outputs: folder to write, replaced whole.
        params_path: the `params.yaml` to read.
        settings: `section.field=value`, over what it says.
        on: where a sharded stage computes; by default where the environment variable TONGYEOK_ON says, or here.
        since: when the stage began (epoch seconds), for its timing; by default when this process did.

    Raises:
        ConfigError: the parameters do not fit, an iteration is missing or unwanted, or an input is missing.
        TongyeokError: the same stage already runs on the same scratch folder.
        TrainingError: this process trains along with others, and does not see what the first of them sees.
    """
    if stage.per_iteration != (item is not None):
        form = f"{stage.name}@<iteration>" if stage.per_iteration else stage.name
        raise ConfigError(f"stage `{stage.name}` is called as `tongyeok {form}`")
    params = config.read_params(params_path)
    config.override(params, settings)
    name = stage.name if item is None else f"{stage.name}@{item}"
    launch = launched()
    if not stage.parallel:
        expect_one(f"tongyeok {name}", shared=PARALLEL)
    where = f"{params_path}: {name.replace('@', '.')}"
    module = interface(stage)
    cfg = config.build(module.config, config.pick(params, stage.name, item, path=params_path), where=where)
    runtime = config.build(Runtime, config.pick(params, "runtime", None, path=params_path), where="runtime")
    _check_inputs(name, inputs)
    die_with_launcher()
    threads = launch.threads(runtime.threads)
    executor = place(on or os.environ.get(ON, HERE), threads=threads) if stage.sharded else Here()
    pin_threads(threads)

    from tongyeok import runs  # noqa: PLC0415  after the threads are pinned
    from tongyeok.base.team import joined  # noqa: PLC0415

    home = WORKPLACE / "scratch" / name.replace("@", "/")
    fingerprint = workplace.fingerprint(cfg, paths(inputs).values(), threads=runtime.threads)
    with joined(launch) as team:
        if not team.leads:
            state = workplace.follow(team, home / fingerprint)
            context = Context(scratch=state, threads=threads, on_metrics=lambda _step, _values: None, leads=team.leave)
            module.module.run(cfg, inputs=inputs, outputs=state / "unwritten", context=context)
            return {}
        with workplace.locked(name, home, fingerprint) as scratch:
            partial = outputs.with_name(f".{outputs.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            state = workplace.lead(team, scratch)
            given = paths(inputs)
            with runs.stage_run(stage, name=name, params=params, inputs=given, folder=scratch / "tracking") as tracked:
                context = Context(
                    scratch=state,
                    threads=threads,
                    on_metrics=tracked.on_metrics,
                    executor=executor,
                    leads=team.leave,
                )
                metrics = module.module.run(cfg, inputs=inputs, outputs=partial, context=context)
                workplace.put_in_place(partial, outputs)
                timings = _note_timing(name, outputs, since=since)
                tracked.finish(metrics, outputs, timings)
    return typing.cast("Mapping[str, float]", metrics)


def relaunch(stage: Stage, arguments: Sequence[str]) -> None:
    """Give this process over to the launcher that `TONGYEOK_LAUNCH` names, for a stage that trains in many processes.

    So `TONGYEOK_LAUNCH="torchrun --nproc-per-node 4" dvc repro` runs the flow, and torchrun its trainings. Does nothing
    where the variable is not set.

    Raises:
        ConfigError: there is no such program.
    """
    words = shlex.split(os.environ.get(LAUNCHER, ""))
    if not words or not stage.parallel or launched().size > 1:
        return
    del os.environ[LAUNCHER]  # what is launched shall not launch again
    die_with_launcher()
    try:
        os.execvp(words[0], [*words, "-m", "tongyeok", *arguments])  # noqa: S606  the user's own words
    except OSError as error:
        raise ConfigError(
            f"{LAUNCHER}: {words[0]} does not start ({error.strerror}); expected a command such as "
            "`torchrun --nproc-per-node 4`"
        ) from None


def paths(inputs: Any) -> dict[str, Path]:  # noqa: ANN401
    """Name -> path of a stage's inputs; optional ones that were not given are left out."""
    given = {field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs)}
    return {name: path for name, path in given.items() if path is not None}


def _check_inputs(name: str, inputs: Any) -> None:  # noqa: ANN401
    for field, path in paths(inputs).items():
        if not path.exists():
            raise ConfigError(f"{name}: input --{field.replace('_', '-')} {path} does not exist; run `dvc repro`")


def die_with_launcher() -> None:
    """Ask the kernel to end this process when `dvc` or torchrun is killed, so that no orphan trains on.

    Raises:
        TongyeokError: `dvc` was killed already.
    """
    by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    if by_torchrun or "DVC_STAGE" in os.environ:
        die_with_parent()
        if os.getppid() == 1 and not by_torchrun:  # torchrun may be a container's first process
            raise TongyeokError("`dvc` was stopped while the stage started; run `dvc repro` again")


def _note_timing(name: str, outputs: Path, *, since: float | None) -> list[dict[str, Any]]:
    """Append wall time and peak memory of a stage to a journal; never part of a hashed output.

    Returns:
        The rows of the rebuild that this stage belongs to, itself included.
    """
    import psutil  # noqa: PLC0415

    from tongyeok.runs import provenance  # noqa: PLC0415

    started = psutil.Process().create_time() if since is None else since
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    row = {
        "stage": name,
        "rebuild": provenance.rebuild(),
        "started": round(started, 2),
        "seconds": round(time.time() - started, 2),
        "peak_mib": round(max(peaks) / 1024),
        "outputs": str(outputs),
    }
    with TIMINGS.open("a") as journal:
        journal.write(json.dumps(row) + "\n")
    return [other for other in read_timings(TIMINGS) if other["rebuild"] == row["rebuild"]]


def read_timings(path: Path) -> list[dict[str, Any]]:
    """All rows of the timings journal: stage, rebuild, started (epoch seconds), seconds, peak_mib, outputs."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
