"""What the environment says of how a process was started."""

import pytest

from tongyeok.base.launch import Launch, expect_one, launched
from tongyeok.errors import ConfigError

MET = {"WORLD_SIZE": "4", "RANK": "3", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}


def test_alone_unless_told_otherwise() -> None:
    """Without WORLD_SIZE, or with 1 of it, a process is the only one, whatever else is set."""
    assert launched({}) == launched({"WORLD_SIZE": "1", "RANK": "0"}) == launched({"RANK": "3"}) == Launch()


def test_torchruns_variables_are_read() -> None:
    """Rank and size come from torchrun; where another launcher names no local ones, each machine has one process."""
    found = launched(MET | {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
    assert found == Launch(rank=3, size=4, local_rank=1, local_size=2)
    assert launched(MET) == Launch(rank=3, size=4)


def test_processes_of_a_machine_share_its_threads() -> None:
    """Eight threads are four for each of two processes, and one for each of more than eight."""
    assert [Launch(size=n, local_size=n).threads(8) for n in (1, 2, 3, 16)] == [8, 4, 2, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 says .* RANK, MASTER_ADDR, MASTER_PORT is not set; start it by `torchrun"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE: expected a whole number, got 'two'"),
        (MET | {"RANK": "4"}, r"RANK: expected 0 to 3 \(WORLD_SIZE=4\), got 4"),
        (MET | {"MASTER_PORT": "0"}, "MASTER_PORT: expected a port, got 0"),
    ],
)
def test_variables_that_cannot_be_are_named(given: dict[str, str], message: str) -> None:
    """A variable that is missing, no number or out of range is an error that says what to do."""
    with pytest.raises(ConfigError, match=message):
        launched(given)


def test_copies_of_what_runs_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that runs in one process says so, and what torchrun is for."""
    expect_one("tongyeok units", shared="hubert")
    for name, value in MET.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"`tongyeok units` runs in one process, but WORLD_SIZE=4.* hubert"):
        expect_one("tongyeok units", shared="hubert")
