"""Several processes of one machine: each part once, whatever happens to a process."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tongyeok.base.executor import Here, write_shards
from tongyeok.errors import TongyeokError, UnitError
from tongyeok.executors.processes import MOST_LOSSES, Processes
from unit.executors.toy_jobs import Doubling

PARTS = {f"part-{number}": number for number in range(6)}


def _doubled(job: Doubling, *, count: int = 2, gpus: tuple[str, ...] = (), parts: dict[str, int] = PARTS) -> dict:
    made = Processes(count, threads=1, gpus=gpus).run(job, parts)
    return {each.name: int(each.content) for each in made}


def test_each_process_has_its_gpu_and_threads_and_opens_the_job_once(tmp_path: Path) -> None:
    """Two processes, two GPUs, their threads pinned before torch is there, no progress bars; six parts, each made."""
    assert _doubled(Doubling(folder=tmp_path), gpus=("3", "7")) == {name: 2 * number for name, number in PARTS.items()}
    opened = sorted(path.read_text() for path in tmp_path.glob("opened-*"))
    assert set(opened) <= {"3 1 False", "7 1 False"}
    assert len(opened) == len(set(opened))


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    """One process is killed (-9) over a part; all parts are there in the end, that one too."""
    assert _doubled(Doubling(folder=tmp_path, fatal=4)) == {name: 2 * number for name, number in PARTS.items()}
    assert (tmp_path / "died").exists()


def test_processes_that_only_die_are_given_up(tmp_path: Path) -> None:
    """A part that kills whatever computes it ends in one error that names the likely reason."""
    with pytest.raises(
        TongyeokError, match=rf"{MOST_LOSSES} times in a row a process was killed .* `--on processes:1`"
    ):
        _doubled(Doubling(folder=tmp_path, fatal=0, always=True), count=1, parts={"part-0": 0})


def test_what_a_part_raises_is_raised_here(tmp_path: Path) -> None:
    """A user's error in another process is that error here; so is a file that is not there."""
    with pytest.raises(UnitError, match="-1: expected at least 0"):
        _doubled(Doubling(folder=tmp_path), count=1, parts={"bad": -1})
    with pytest.raises(TongyeokError, match="gone is not there; every machine must see the project's files"):
        _doubled(Doubling(folder=tmp_path / "gone"), count=1)


def test_nothing_goes_on_when_the_rest_is_not_wanted(tmp_path: Path) -> None:
    """Closed after its first part, the executor ends its processes, the one that would work on for minutes too."""
    made = Processes(2, threads=1, gpus=()).run(Doubling(folder=tmp_path, endless=5), {"first": 1, "endless": 5})
    assert next(made).name == "first"
    while not (tmp_path / "waits").exists():
        time.sleep(0.05)
    made.close()
    assert not [path for path in tmp_path.glob("opened-*") if Path(f"/proc/{path.name.partition('-')[2]}").exists()]


def test_a_killed_stage_leaves_no_process_and_goes_on_at_its_shards(tmp_path: Path) -> None:
    """The stage is killed (-9): its processes end too, and a rerun computes only the shards that were not there."""
    script = textwrap.dedent(f"""
        from pathlib import Path
        from tongyeok.base.executor import write_shards
        from tongyeok.executors.processes import Processes
        from unit.executors.toy_jobs import Doubling
        if __name__ == "__main__":
            job = Doubling(folder=Path({str(tmp_path)!r}), endless=5)
            parts = {PARTS!r}
            write_shards(job, parts, executor=Processes(2, threads=1, gpus=()), scratch=Path({str(tmp_path)!r}))
    """)
    (tmp_path / "stage.py").write_text(script)
    path = os.pathsep.join(part for part in sys.path if part)
    with subprocess.Popen([sys.executable, tmp_path / "stage.py"], env={**os.environ, "PYTHONPATH": path}) as stage:
        while not (tmp_path / "waits").exists() or not (tmp_path / "part-4").exists():
            assert stage.poll() is None
            time.sleep(0.05)
        stage.send_signal(signal.SIGKILL)
    processes = [int(opened.name.partition("-")[2]) for opened in tmp_path.glob("opened-*")]
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in processes):
        assert time.monotonic() < deadline, "a process outlived its stage"
        time.sleep(0.05)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in PARTS if (tmp_path / name).exists()}
    assert "part-5" not in before
    paths = write_shards(Doubling(folder=tmp_path), PARTS, executor=Here(), scratch=tmp_path)
    assert [shard.read_text() for shard in paths] == [str(2 * number) for number in PARTS.values()]
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in before}
