"""How processes share an update."""

import pytest

from tongyeok.base.division import divide
from tongyeok.errors import ConfigError


def shared(processes: int) -> object:
    return divide(
        "hubert",
        processes,
        batches=8,
        size=87.5,
        unit="s of audio",
        learning_rate=5e-4,
        remedy=lambda batches: f"hubert.<i>.batch_audio_s={700 / batches:g}",
    )


def test_the_effective_batch_does_not_depend_on_the_processes() -> None:
    """More processes accumulate over fewer batches each; effective batch and learning rate stay."""
    lines = [str(shared(processes)) for processes in (1, 2, 8)]
    assert lines[1] == (
        "hubert: 2 processes, each 4 x 87.5 s of audio an update; effective batch 700 s of audio, learning rate 0.0005"
    )
    assert len({line.partition("; ")[2] for line in lines}) == 1
    assert [line.partition(" x ")[0] for line in lines] == [
        "hubert: 1 process, each 8", "hubert: 2 processes, each 4", "hubert: 8 processes, each 1",
    ]  # fmt: skip


def test_batches_of_one_are_counted_alone() -> None:
    """Where a batch is one of what it is counted in, nothing is multiplied by 1, in the line or in the error."""

    def segments(processes: int) -> str:
        return str(
            divide(
                "speech",
                processes,
                batches=16,
                size=1,
                unit="segments",
                learning_rate=1e-3,
                remedy=lambda batch: f"vocoder.batch_segments={batch}",
            )
        )

    line = "speech: 2 processes, each 8 segments an update; effective batch 16 segments, learning rate 0.001"
    assert segments(2) == line
    with pytest.raises(ConfigError, match=r"3 processes cannot share the 16 segments of an .*batch_segments=18`"):
        segments(3)


@pytest.mark.parametrize(("processes", "setting"), [(3, "77.7778"), (16, "43.75")])
def test_what_does_not_divide_is_refused_with_a_setting_that_does(processes: int, setting: str) -> None:
    """The error names a setting of the same effective batch that so many processes can share."""
    message = rf"{processes} processes cannot share the 8 x 87\.5 s of audio .*divides 8.*batch_audio_s={setting}`"
    with pytest.raises(ConfigError, match=message):
        shared(processes)
