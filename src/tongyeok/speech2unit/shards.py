"""A split's units in shards of a fixed number of utterances, so that memory does not grow with the split.

Each shard's file is written whole into the stage's scratch folder and taken up again after an interruption, so an
interrupted stage loses one shard of each worker at most. Assembled in order, they are what one pass would have written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.manifests import Manifest, read_manifest, subset
from tongyeok.base.units import Units
from tongyeok.speech2unit.codebook import FILE

SHARD = 2000  # utterances: about 1.6 h of clips of 3 s


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A shard's part of a split, and what to call it."""

    manifest: Manifest
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """What every shard of a stage needs: folders of the codebook, of its HuBERT if it has one, and of the audio."""

    kmeans: Path
    hubert: Path | None
    audio: Path
    switch_penalty: float

    @property
    def needs(self) -> tuple[Path, ...]:
        """The codebook, the audio and the checkpoint."""
        return self.kmeans / FILE, self.audio, *([] if self.hubert is None else [self.hubert])


def cut(folder: Path, splits: Sequence[str]) -> dict[str, Stretch]:
    """The parts of splits of a manifest folder, by the name of the shard's file, in order."""
    parts = {}
    for split in splits:
        manifest = read_manifest(folder, split)
        starts = range(0, len(manifest.utts), SHARD)
        for number, first in enumerate(starts):
            rows = range(first, min(first + SHARD, len(manifest.utts)))
            title = f"{split}, shard {number + 1} of {len(starts)}"
            parts[f"{split}-{number:06d}.tsv"] = Stretch(manifest=subset(manifest, rows), title=title)
    return parts


def lines(units: Iterable[tuple[str, Units]]) -> bytes:
    """A shard's file: a line `utt<TAB>u u u …` an utterance."""
    return "".join(f"{utt}\t{' '.join(map(str, sequence.tolist()))}\n" for utt, sequence in units).encode()


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
