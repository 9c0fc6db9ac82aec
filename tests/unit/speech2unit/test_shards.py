"""Shards of a split: taken up again after an interruption, and read back line by line."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.manifests import Manifest
from tongyeok.base.units import Units
from tongyeok.speech2unit import shards
from tongyeok.speech2unit.shards import ShardedUnits, remove_shards, write_shards

COUNT = 7


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 3)


def _manifest(root: Path) -> Manifest:
    utts = tuple(f"g{number}_ko" for number in range(COUNT))
    return Manifest(root=root, utts=utts, locations=utts, samples=(640,) * COUNT)


class _Compute:
    """Counts what it is asked for, and is interrupted at one utterance."""

    def __init__(self, stops_at: str = "") -> None:
        self.seen: list[str] = []
        self.stops_at = stops_at

    def __call__(self, manifest: Manifest, description: str) -> Iterator[tuple[str, Units]]:
        assert description.startswith("train, shard ")
        for utt in manifest.utts:
            if utt == self.stops_at:
                raise KeyboardInterrupt
            self.seen.append(utt)
            yield utt, np.array([int(utt[1]), 5], dtype=np.int32)


def test_an_interrupted_split_goes_on_at_its_shard(tmp_path: Path) -> None:
    """Only the shard that was under way is computed again, and the files are those of an uninterrupted run."""
    manifest = _manifest(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_shards(manifest, tmp_path / "a", _Compute("g4_ko"), name="train")
    again, once = _Compute(), _Compute()
    resumed = write_shards(manifest, tmp_path / "a", again, name="train")
    whole = write_shards(manifest, tmp_path / "b", once, name="train")
    assert again.seen == list(manifest.utts[3:])
    assert once.seen == list(manifest.utts)
    assert [path.read_bytes() for path in resumed] == [path.read_bytes() for path in whole]
    assert [path.name for path in whole] == ["train-000000.tsv", "train-000001.tsv", "train-000002.tsv"]


def test_units_are_read_back_from_shards(tmp_path: Path) -> None:
    """A mapping over shards gives each utterance's units, and a part of it in another order."""
    paths = write_shards(_manifest(tmp_path), tmp_path, _Compute(), name="train")
    units = ShardedUnits(paths)
    assert len(units) == COUNT
    assert {utt: sequence.tolist() for utt, sequence in units.items()} == {
        f"g{number}_ko": [number, 5] for number in range(COUNT)
    }
    assert list(units.of(["g6_ko", "g0_ko"])) == ["g6_ko", "g0_ko"]
    remove_shards(paths)
    assert not list(tmp_path.glob("*.tsv"))
