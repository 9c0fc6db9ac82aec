"""Which of several copies of the command tells an error."""

import pytest

from tongyeok.__main__ import main
from tongyeok.errors import CheckpointError, ConfigError, UnstableError

MEETING = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29513"}
COPIES = ((0, 0), (1, 1), (2, 0), (3, 1))  # rank, and rank on its machine


@pytest.mark.parametrize(
    ("error", "status", "tell"),
    [
        (ConfigError("settings, or GPUs of a machine"), 2, [0, 2]),
        (UnstableError("loss"), 2, [0]),
        (CheckpointError("a file that this process alone does not see"), 2, [0, 1, 2, 3]),
        (KeyboardInterrupt(), 130, [0]),
    ],
)
def test_who_tells_an_error(
    error: BaseException,
    status: int,
    tell: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What all meet alike the first tells, or each machine's first; anything else whoever met it, with its rank."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("tongyeok.__main__.expect_one", fail)
    for name, value in MEETING.items():
        monkeypatch.setenv(name, value)
    told = []
    for rank, local_rank in COPIES:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(local_rank))
        assert main(["scores"]) == status
        said = capsys.readouterr().err
        if said:
            told.append(rank)
            assert said.startswith(f"tongyeok scores, process {rank}: " if rank else "tongyeok scores: ")
    assert told == tell


def test_a_launch_that_makes_no_sense_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the variables do not even say which copy this is, it speaks."""
    for name, value in (MEETING | {"RANK": "9", "LOCAL_RANK": "1"}).items():
        monkeypatch.setenv(name, value)
    assert main(["scores"]) == 2
    assert "RANK: expected 0 to 3 (WORLD_SIZE=4), got 9" in capsys.readouterr().err
