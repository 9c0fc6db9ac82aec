"""A split's units in shards of a fixed number of utterances, so that memory does not grow with the split.

Each shard's file is written whole into the stage's scratch folder and taken up again after an interruption, so an
interrupted stage loses one shard at most. Assembled in order, they are what one pass would have written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from tongyeok.base.files import whole
from tongyeok.base.manifests import Manifest, subset
from tongyeok.base.units import Units

SHARD = 2000  # utterances: about 1.6 h of clips of 3 s

Compute = Callable[[Manifest, str], Iterable[tuple[str, Units]]]  # a part of a manifest, and how to call it


def write_shards(manifest: Manifest, scratch: Path, compute: Compute, *, name: str) -> list[Path]:
    """Compute the shards of a split that are not there yet, and list all: a line `utt<TAB>u u u …` an utterance."""
    paths = []
    starts = range(0, len(manifest.utts), SHARD)
    for number, first in enumerate(starts):
        path = scratch / f"{name}-{number:06d}.tsv"
        paths.append(path)
        if path.is_file():
            continue
        part = subset(manifest, range(first, min(first + SHARD, len(manifest.utts))))
        with whole(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            for utt, units in compute(part, f"{name}, shard {number + 1} of {len(starts)}"):
                file.write(f"{utt}\t{' '.join(map(str, units.tolist()))}\n")
    return paths


def remove_shards(paths: Iterable[Path]) -> None:
    """Remove shards whose content stands in whole outputs."""
    for path in paths:
        path.unlink()


class ShardedUnits(Mapping[str, Units]):
    """The units of the utterances in some shards; only where each line lies is held in memory."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Find every utterance's line."""
        self._places: dict[str, tuple[Path, int]] = {}
        for path in paths:
            start = 0
            with path.open("rb") as file:
                for line in file:
                    self._places[line.partition(b"\t")[0].decode("utf-8")] = path, start
                    start += len(line)

    def __getitem__(self, utt: str) -> Units:
        """Read one utterance's units."""
        path, start = self._places[utt]
        with path.open("rb") as file:
            file.seek(start)
            return np.array(file.readline().partition(b"\t")[2].split(), dtype=np.int32)

    def __iter__(self) -> Iterator[str]:
        """Utterances in the shards' order."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many utterances there are."""
        return len(self._places)

    def of(self, utts: Iterable[str]) -> "ShardedUnits":
        """The same for these utterances alone, in their order."""
        part = ShardedUnits([])
        part._places = {utt: self._places[utt] for utt in utts}
        return part
