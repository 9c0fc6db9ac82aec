"""Several processes of one machine: each part once, whatever happens to a process."""

from pathlib import Path

import pytest

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
