"""How a stage is run: whole outputs or none, one at a time, resumable only by the same run."""

import fcntl
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tongyeok import runner
from tongyeok.__main__ import main
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
    (outputs / "half").write_text(type(context.executor).__name__)
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

    def execute(  # type: ignore[no-untyped-def]  # noqa: ANN202
        *,
        count: object = 2,
        threads: int = 1,
        settings: tuple[str, ...] = (),
        item: str | None = None,
        stage: Stage = STAGE,
        on: str | None = None,
    ):
        Path("params.yaml").write_text(json.dumps({"toy": {"count": count}, "runtime": {"threads": threads}}))
        import toy_stage

        inputs = toy_stage.Inputs(source=Path("source"))
        outputs = Path("outputs/toy")
        return runner.execute(
            stage, item=item, inputs=inputs, outputs=outputs, params_path=Path("params.yaml"), settings=settings, on=on
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


def test_a_sharded_stage_computes_where_it_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--on` decides, else TONGYEOK_ON, else this process does it; stages without shards look at neither."""
    sharded = replace(STAGE, sharded=True)
    found = []
    for stage, on, variable in (
        (sharded, None, None),
        (sharded, None, "processes:2"),
        (sharded, "here", "processes:2"),
        (sharded, "ray", "processes:2"),
        (STAGE, None, "nonsense"),
    ):
        monkeypatch.delenv("TONGYEOK_ON", raising=False)
        if variable is not None:
            monkeypatch.setenv("TONGYEOK_ON", variable)
        run(stage=stage, on=on)
        found.append(Path("outputs/toy/half").read_text())
    assert found == ["Here", "Processes", "Here", "Cluster", "Here"]
    with pytest.raises(
        ConfigError, match="expected here, processes, processes:N, ray or ray:HOST:PORT, got 'nonsense'"
    ):
        run(stage=sharded, on="nonsense")


TORCHRUN = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29512"}


def test_copies_of_a_stage_that_runs_in_one_process_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun, a stage that does not share its work says so, and touches nothing."""
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"`tongyeok toy` runs in one process, but WORLD_SIZE=2.*hubert, translator"):
        run()
    assert not Path("outputs").exists()


def test_of_two_copies_one_speaks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that every copy finds is printed by the first on a machine alone; all of them fail."""
    for rank in ("0", "1"):
        for name, value in (TORCHRUN | {"RANK": rank, "LOCAL_RANK": rank}).items():
            monkeypatch.setenv(name, value)
        assert main(["scores"]) == 2
        assert ("`tongyeok scores` runs in one process" in capsys.readouterr().err) == (rank == "0")


def test_the_launcher_takes_over_only_what_it_can_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """TONGYEOK_LAUNCH replaces the command by the launcher, once, for a parallel stage; others go on as they are."""
    started: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execvp", lambda program, words: started.append((program, words)))
    monkeypatch.setenv("TONGYEOK_LAUNCH", "srun torchrun --nproc-per-node 4")
    runner.relaunch(STAGE, ["toy"])
    assert started == []
    parallel = Stage(name="toy", module="toy_stage", parallel=True)
    runner.relaunch(parallel, ["toy", "--outputs", "o"])
    runner.relaunch(parallel, ["toy", "--outputs", "o"])
    words = ["srun", "torchrun", "--nproc-per-node", "4", "-m", "tongyeok", "toy", "--outputs", "o"]
    assert started == [("srun", words)]


def test_a_launcher_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not exist is an error that names the variable."""
    monkeypatch.setenv("TONGYEOK_LAUNCH", "no-such-program --x")
    with pytest.raises(ConfigError, match=r"TONGYEOK_LAUNCH: no-such-program does not start \(No such file"):
        runner.relaunch(Stage(name="toy", module="toy_stage", parallel=True), ["toy"])


def test_dies_with_the_process_that_started_it() -> None:
    """When `dvc` is killed the kernel ends the stage too, so that no orphan trains on."""
    child = textwrap.dedent("""
        import os, time
        from tongyeok import runner
        runner.die_with_launcher()
        print(os.getpid(), flush=True)
        time.sleep(60)
    """)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=os.environ | {"DVC_STAGE": "toy"}
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the stage outlived the process that started it"
        time.sleep(0.05)
