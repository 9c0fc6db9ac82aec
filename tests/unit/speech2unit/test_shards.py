"""Shards of a split: cut from its manifest, and read back line by line."""

from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.speech2unit import shards
from tongyeok.speech2unit.shards import ShardedUnits, cut, lines


def _write(folder: Path, split: str, count: int) -> None:
    utts = tuple(f"{split}{number}_ko" for number in range(count))
    write_manifest(folder, split, Manifest(root=folder, utts=utts, locations=utts, samples=(640,) * count))


def test_splits_are_cut_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part has so many utterances of one split, the last what is left; an empty split has no part."""
    monkeypatch.setattr(shards, "SHARD", 3)
    for split, count in (("train", 7), ("valid", 0), ("test", 3)):
        _write(tmp_path, split, count)
    parts = cut(tmp_path, ("train", "valid", "test"))
    assert {name: len(part.manifest.utts) for name, part in parts.items()} == {
        "train-000000.tsv": 3,
        "train-000001.tsv": 3,
        "train-000002.tsv": 1,
        "test-000000.tsv": 3,
    }
    assert parts["train-000001.tsv"].manifest.utts == ("train3_ko", "train4_ko", "train5_ko")
    assert parts["train-000001.tsv"].title == "train, shard 2 of 3"


def test_units_are_read_back_from_shards(tmp_path: Path) -> None:
    """A mapping over shards gives each utterance's units, and a part of it in another order."""
    paths = []
    for first in (0, 2):
        units = [(f"g{number}_ko", np.array([number, 5], dtype=np.int32)) for number in (first, first + 1)]
        paths.append(tmp_path / f"{first}.tsv")
        paths[-1].write_bytes(lines(units))
    assert paths[0].read_text() == "g0_ko\t0 5\ng1_ko\t1 5\n"
    found = ShardedUnits(paths)
    assert len(found) == 4
    assert {utt: row.tolist() for utt, row in found.items()} == {f"g{number}_ko": [number, 5] for number in range(4)}
    assert list(found.of(["g3_ko", "g0_ko"])) == ["g3_ko", "g0_ko"]
