"""How a stage is run: whole outputs or none, one at a time, resumable only by the same run."""

import fcntl
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tongyeok import runner
from tongyeok.errors import ConfigError, TongyeokError
from tongyeok.registry import Stage

STAGE = Stage(name="toy", module="toy_stage")
MODULE = '''
"""A stage that counts, and can be told to fail half-way."""
from dataclasses import dataclass
from pathlib import Path

from tongyeok.base.stage import Context
from tongyeok.config import section


@section
class ToyConfig:
    """One number."""

    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """One file, and one that may be absent."""

    source: Path
    extra: Path | None = None


def run(cfg: ToyConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Copy the source `count` times, remembering in scratch how often it was tried."""
    tries = context.scratch / "tries"
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    (outputs / "half").write_text("half")
    if inputs.source.read_text() == "bad":
        raise RuntimeError("half-way")
    (outputs / "whole").write_text(inputs.source.read_text() * cfg.count)
    return {"tries": float(len(tries.read_text())), "threads": float(context.threads)}
'''

Run = Callable[..., dict[str, float]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the toy stage in a fresh project folder."""
    (tmp_path / "toy_stage.py").write_text(MODULE)
    (tmp_path / "source").write_text("good")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_stage", raising=False)

    def execute(*, count: object = 2, threads: int = 1, settings: tuple[str, ...] = (), item: str | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN202
        Path("params.yaml").write_text(json.dumps({"toy": {"count": count}, "runtime": {"threads": threads}}))
        import toy_stage

        inputs = toy_stage.Inputs(source=Path("source"))
        outputs = Path("outputs/toy")
        return runner.execute(
            STAGE, item=item, inputs=inputs, outputs=outputs, params_path=Path("params.yaml"), settings=settings
        )

    return execute


def test_puts_outputs_in_place_and_forgets_scratch(run: Run) -> None:
    """A finished stage leaves its outputs, a row of timings, and no scratch."""
    assert run() == {"tries": 1.0, "threads": 1.0}
    assert Path("outputs/toy/whole").read_text() == "goodgood"
    assert [path.name for path in Path("outputs").iterdir()] == ["toy"]
    (row,) = runner.read_timings(runner.TIMINGS)
    assert row["stage"] == "toy"
    assert row["rebuild"] is None
    assert row["outputs"] == "outputs/toy"
    assert row["peak_mib"] > 0
    assert [path.name for path in Path(".tongyeok/scratch/toy").iterdir()] == ["lock"]


def test_replaces_outputs_as_a_whole(run: Run) -> None:
    """Nothing of an earlier run remains in the output folder."""
    run()
    Path("outputs/toy/stray").touch()
    run(count=1)
    assert sorted(path.name for path in Path("outputs/toy").iterdir()) == ["half", "whole"]
    assert Path("outputs/toy/whole").read_text() == "good"


def test_a_failure_leaves_earlier_outputs_alone(run: Run) -> None:
    """A stage that fails half-way changes no output and notes no timing."""
    run()
    Path("source").write_text("bad")
    with pytest.raises(RuntimeError, match="half-way"):
        run()
    assert Path("outputs/toy/whole").read_text() == "goodgood"
    assert len(runner.read_timings(runner.TIMINGS)) == 1


def test_scratch_survives_only_for_the_same_run(run: Run) -> None:
    """After a failure the same configuration, inputs and threads find their scratch again; any change starts afresh."""
    Path("source").write_text("bad")
    tries = []
    for change in ({}, {}, {"count": 3}, {"threads": 2}, {"threads": 2}):
        with pytest.raises(RuntimeError):
            run(**change)
        (found,) = Path(".tongyeok/scratch/toy").glob("*/state/tries")
        tries.append(found.read_text())
    assert tries == ["x", "xx", "x", "x", "xx"]
    Path("source").write_text("good")
    assert run(threads=2)["tries"] == 1.0


def test_refuses_a_second_run_at_the_same_time(run: Run) -> None:
    """While one process holds the stage's lock, another is told so and touches nothing."""
    run()
    with Path(".tongyeok/scratch/toy/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TongyeokError, match="toy already runs in this checkout; wait for it or stop it"):
            run(count=5)
    assert Path("outputs/toy/whole").read_text() == "goodgood"


def test_names_missing_inputs(run: Run) -> None:
    """A path that does not exist is named with its flag, before anything runs; an optional input may be absent."""
    Path("source").unlink()
    with pytest.raises(TongyeokError, match="toy: input --source source does not exist; run `dvc repro`"):
        run()
    assert not Path("outputs").exists()


def test_checks_parameters_before_anything_runs(run: Run) -> None:
    """A wrong value, a missing iteration or an unwanted one is refused."""
    with pytest.raises(ConfigError, match=r"params\.yaml: toy: field `count`"):
        run(count="many")
    with pytest.raises(ConfigError, match="stage `toy` is called as `tongyeok toy`"):
        run(item="0")
    with pytest.raises(ConfigError, match="threads: expected at least 1, got 0"):
        run(threads=0)
    assert not Path("outputs").exists()


def test_settings_override_parameters(run: Run) -> None:
    """`--set` changes the value that the stage sees."""
    run(settings=("toy.count=3",))
    assert Path("outputs/toy/whole").read_text() == "good" * 3


def test_dies_with_the_process_that_started_it() -> None:
    """When `dvc` is killed the kernel ends the stage too, so that no orphan trains on."""
    child = textwrap.dedent("""
        import os, time
        from tongyeok import runner
        runner.die_with_parent("dvc")
        print(os.getpid(), flush=True)
        time.sleep(60)
    """)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the stage outlived the process that started it"
        time.sleep(0.05)
