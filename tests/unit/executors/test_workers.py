"""Commands placed on a Ray cluster: where a study's workers run, and what happens when they are lost."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tongyeok.errors import TongyeokError
from tongyeok.executors.workers import Ended, place_workers


def _place(nodes: Any, script: str, *, count: int, losses: int = 2) -> list[Ended]:
    command = ["sh", "-c", script]
    placed = place_workers(command, count=count, address=nodes.address, cpus=1, gpus=None, losses=losses)
    return sorted(placed, key=lambda ended: ended.number)


def test_workers_run_here_with_their_number(nodes: Any, tmp_path: Path) -> None:
    """Each runs once, in this folder, and its exit status comes back; more than fit wait for room."""
    ended = _place(nodes, 'echo "$PWD" > worker-$TONGYEOK_WORKER; exit $TONGYEOK_WORKER', count=3)
    assert [(each.number, each.status) for each in ended] == [(0, 0), (1, 1), (2, 2)]
    assert [(tmp_path / f"worker-{number}").read_text().strip() for number in range(3)] == [str(tmp_path)] * 3


def test_a_killed_worker_starts_again(nodes: Any, tmp_path: Path) -> None:
    """A command that a signal ends is started again, and given up when that happens too often."""
    (ended,) = _place(nodes, "mkdir first && kill -9 $$; echo again > second", count=1)
    assert ended.status == 0
    assert (tmp_path / "second").exists()
    with pytest.raises(TongyeokError, match="was ended by signal 9"):
        _place(nodes, "kill -9 $$", count=1, losses=1)


def test_stopping_the_command_ends_its_workers(nodes: Any, tmp_path: Path) -> None:
    """After Ctrl-C nothing that was placed lives on."""
    script = "echo $$ > pid; while true; do sleep 0.2; done"
    words = ["cluster", "workers", "1", "--on", nodes.address, "--cpus", "1", "--", "sh", "-c", script]
    with subprocess.Popen([sys.executable, "-m", "tongyeok", *words]) as placing:
        _wait(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
        placing.send_signal(signal.SIGINT)
    assert placing.returncode == 130
    _wait(lambda: not _runs(int((tmp_path / "pid").read_text())))


def test_a_worker_of_a_lost_node_starts_elsewhere(nodes: Any, tmp_path: Path) -> None:
    """Two workers on two nodes; a node is removed: its worker does not live on, and is started on the other node."""
    begun = [tmp_path / f"started-{number}" for number in range(2)]

    def remove() -> None:
        _wait(lambda: all(path.exists() for path in begun))
        nodes.remove_node(nodes.second, allow_graceful=False)
        _wait(lambda: not all(_runs(int(path.read_text().split()[0])) for path in begun))
        (tmp_path / "end").touch()

    remover = threading.Thread(target=remove, daemon=True)
    remover.start()
    ended = _place(nodes, "echo $$ >> started-$TONGYEOK_WORKER; while test ! -e end; do sleep 0.2; done", count=2)
    remover.join()
    assert [(each.number, each.status) for each in ended] == [(0, 0), (1, 0)]
    assert sorted(len(path.read_text().split()) for path in begun) == [1, 2]


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def _wait(found: Callable[[], bool]) -> None:
    while not found():
        time.sleep(0.1)
