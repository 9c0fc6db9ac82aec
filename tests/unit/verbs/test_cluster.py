"""`tongyeok cluster workers`: what it takes and what it prints; the placing is tested in executors/test_workers.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tongyeok.__main__ import main
from tongyeok.executors import workers
from tongyeok.executors.workers import Ended


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What was asked of the cluster, in place of which worker 1 fails and the others do not."""
    found: dict[str, Any] = {}

    def place(command: list[str], **how: Any) -> Iterator[Ended]:
        found.update(how, command=command)
        for number in range(how["count"]):
            yield Ended(number=number, status=3 * (number == 1), node=f"node{number}")

    monkeypatch.setattr(workers, "place_workers", place)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("runtime: {threads: 6}\n")
    return found


def test_workers_take_the_parameters_threads(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The words after `--` are the command, options and all; each worker's CPUs are `runtime.threads`."""
    assert main(["cluster", "workers", "1", "--", "tongyeok", "tune", "worker", "--study", "units"]) == 0
    assert asked == {
        "command": ["tongyeok", "tune", "worker", "--study", "units"],
        "count": 1,
        "address": None,
        "cpus": 6,
        "gpus": None,
        "losses": 5,
    }
    assert capsys.readouterr().out == "worker 0 on node0: exit status 0\n"


def test_a_worker_that_fails_fails_the_command(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The others go on, and the exit status is 1; shares and address are as said."""
    options = ["--on", "head:6379", "--cpus", "2", "--gpus", "0.5", "--losses", "0"]
    assert main(["cluster", "workers", "3", *options, "--", "true"]) == 1
    assert (asked["address"], asked["cpus"], asked["gpus"], asked["losses"]) == ("head:6379", 2.0, 0.5, 0)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "worker 1 on node1: exit status 3",
        "worker 2 on node2: exit status 0",
    ]


@pytest.mark.parametrize("words", [["0", "--", "true"], ["1", "--losses", "-1", "--", "true"]])
def test_impossible_numbers_are_refused(
    asked: dict[str, Any], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No workers, or fewer losses than none, are refused before a cluster is asked."""
    assert main(["cluster", "workers", *words]) == 2
    assert "expected" in capsys.readouterr().err
    assert not asked
