"""Three workers of a study in a real PostgreSQL server, one of them killed in the middle of a trial."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from tongyeok.__main__ import main
from tongyeok.tuning import study
from tongyeok.tuning.study import Opened
from unit.tuning import world

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
WORKERS, TRIALS, HEARTBEAT_S = 3, 6, 5
PATIENCE_S = 240


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a database on a server of its own, on a free port of this machine."""
    found = [folder for folder in BINARIES if (folder / "postgres").is_file()] or (
        [Path(path).parent] if (path := shutil.which("postgres")) else []
    )
    if not found:
        pytest.skip("no PostgreSQL server here: `apt-get install postgresql` brings the binaries that this starts")
    user = None if os.geteuid() else pwd.getpwnam("postgres" if _known("postgres") else "nobody").pw_name
    folder = Path(tempfile.mkdtemp(prefix="tongyeok-postgres-"))  # pytest's folders are closed to other users
    if user:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bins, data = found[-1], folder / "data"
    options = ["-k", str(folder), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    try:
        subprocess.run(
            [bins / "initdb", "-D", data, "-U", "tuner", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"],
            check=True,
            user=user,
            cwd=folder,
            capture_output=True,
        )
        process = subprocess.Popen(
            [bins / "postgres", "-D", data, *options], user=user, cwd=folder, stderr=subprocess.DEVNULL
        )
        try:
            asked = [bins / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait(lambda: subprocess.run(asked, check=False).returncode == 0)
            yield f"postgresql://tuner@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    finally:
        shutil.rmtree(folder)


def _known(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def wait(found: object, *, seconds: float = PATIENCE_S) -> object:
    """Wait until `found()` is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := found()):  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_a_killed_workers_trial_is_done_by_another(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in the middle of a trial: the others try it again with its values; the study has exactly its trials."""
    world.units(tmp_path)
    world.write_space(tmp_path, world.TRANSLATOR_SPACE, trials=TRIALS)
    monkeypatch.chdir(tmp_path)
    begin = ["tune", "translator", "--space", "toy", "--storage", server, "--heartbeat", str(HEARTBEAT_S)]
    assert main([*begin, "--workers", "0"]) == 0
    opened = study.join(server, "toy")
    command = [sys.executable, "-m", "tongyeok", "tune", "worker", "--study", "toy", "--storage", server]
    workers = [subprocess.Popen([*command, "--name", str(number)], stderr=subprocess.PIPE) for number in range(WORKERS)]
    try:
        killed = wait(lambda: kill_at_work(opened, workers))
        assert isinstance(killed, FrozenTrial)
        codes = sorted((process.communicate()[1], process.returncode)[1] for process in workers)
    finally:
        for process in workers:
            process.kill()
    assert codes == [-signal.SIGKILL, 0, 0]

    trials = {trial.number: trial for trial in study.join(server, "toy").trials()}
    done = [trial for trial in trials.values() if trial.state == TrialState.COMPLETE]
    assert len(done) == TRIALS
    assert trials[killed.number].state == TrialState.FAIL
    (again,) = [trial for trial in done if killed.number in trial.system_attrs.get("retry_history", [])]
    assert again.params.items() >= killed.params.items()
    assert again.user_attrs["worker"] != killed.user_attrs["worker"]
    assert {trial.state for trial in trials.values()} == {TrialState.COMPLETE, TrialState.FAIL}
    assert main([*begin, "--workers", "1"]) == 0  # nothing is left, so nothing is begun
    assert len(study.join(server, "toy").trials()) == len(trials)


def kill_at_work(opened: Opened, workers: list["subprocess.Popen[bytes]"]) -> FrozenTrial | None:
    """Kill a worker that is in the middle of a trial, and return the trial; None while no worker is."""
    for trial in opened.trials(TrialState.RUNNING):
        for process in workers:
            if trial.user_attrs.get("worker", "").endswith(f":{process.pid}") and trial.params:
                process.send_signal(signal.SIGSTOP)
                now = opened.study.get_trials(deepcopy=False)[trial.number]
                if now.state == TrialState.RUNNING:
                    process.kill()
                    return now
                process.send_signal(signal.SIGCONT)
    return None
