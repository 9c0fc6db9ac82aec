"""Shards of a stage: taken up again after an interruption, never mixed between kinds of device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tongyeok.base.executor import Found, Here, Job, Made, Part, remove_shards, write_shards
from tongyeok.errors import TongyeokError

PARTS = {f"train-{number}.tsv": number for number in range(4)}


@dataclass(frozen=True, kw_only=True)
class _Squares:
    """Notes what it is asked for, and is interrupted at one number."""

    stops_at: int | None = None
    seen: list[int] = field(default_factory=list)
    needs: tuple[Path, ...] = ()

    def open(self, *, progress: bool) -> Callable[[int], bytes]:
        assert progress

        def compute(number: int) -> bytes:
            if number == self.stops_at:
                raise KeyboardInterrupt
            self.seen.append(number)
            return str(number**2).encode()

        return compute


class _Backwards:
    """Does parts in the opposite order, each by a device of its own."""

    def run(self, job: Job[Part], parts: Mapping[str, Part]) -> Found:
        compute = job.open(progress=True)
        for number, (name, part) in enumerate(reversed(parts.items())):
            yield Made(name=name, content=compute(part), device=f"device {number // 2}")


def test_an_interrupted_stage_goes_on_at_its_shard(tmp_path: Path) -> None:
    """Only what was not finished is computed again, and the files are those of an uninterrupted run."""
    with pytest.raises(KeyboardInterrupt):
        write_shards(_Squares(stops_at=2), PARTS, executor=Here(), scratch=tmp_path / "a")
    again = _Squares()
    resumed = write_shards(again, PARTS, executor=Here(), scratch=tmp_path / "a")
    assert again.seen == [2, 3]
    whole = write_shards(_Squares(), PARTS, executor=Here(), scratch=tmp_path / "b")
    assert [path.name for path in resumed] == list(PARTS)
    assert [path.read_bytes() for path in resumed] == [path.read_bytes() for path in whole]
    remove_shards(resumed)
    assert not list((tmp_path / "a").iterdir())


def test_devices_are_not_mixed(tmp_path: Path) -> None:
    """A shard of another kind of device is refused with both kinds; those of the first kind stay."""
    with pytest.raises(TongyeokError, match=r"shard train-1\.tsv was computed by device 1, earlier ones by device 0"):
        write_shards(_Squares(), PARTS, executor=_Backwards(), scratch=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device.txt", "train-2.tsv", "train-3.tsv"]


def test_the_order_of_computing_does_not_show(tmp_path: Path) -> None:
    """Shards are listed in the order of the parts."""
    two = dict(list(PARTS.items())[:2])
    paths = write_shards(_Squares(), two, executor=_Backwards(), scratch=tmp_path)
    assert [path.read_bytes() for path in paths] == [b"0", b"1"]
