"""Unit sequences: 50 a second, with repeats, one line per utterance, in a file that names where they come from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from tongyeok.base.files import whole
from tongyeok.errors import UnitError

Units = Int[np.ndarray, " _frames"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitSource:
    """Where units come from: SHA-256 of the codebook file and of the checkpoint, and the number of clusters."""

    codebook: str
    checkpoint: str
    clusters: int


def write_units(path: Path, source: UnitSource, units: Mapping[str, Units]) -> None:
    """Write `# {source}` and then `utt<TAB>u u u …` lines, in the mapping's order, one after the other."""
    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"# {json.dumps(asdict(source))}\n")
        for utt, sequence in units.items():
            file.write(f"{utt}\t{' '.join(map(str, sequence.tolist()))}\n")


def read_units(path: Path) -> tuple[UnitSource, dict[str, Units]]:
    """Read a unit file.

    Raises:
        UnitError: the file is missing or malformed, an id stands twice, or a unit is out of range.
    """
    if not path.is_file():
        raise UnitError(f"{path}: no such unit file; run the stage that makes it first")
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    try:
        source = UnitSource(**json.loads(header.removeprefix("# ")))
    except (TypeError, ValueError):
        raise UnitError(f"{path}:1: expected `# {{codebook, checkpoint, clusters}}`, got {header[:80]!r}") from None
    units: dict[str, Units] = {}
    for number, line in enumerate(lines, start=2):
        utt, _, text = line.partition("\t")
        try:
            sequence = np.array(text.split(), dtype=np.int32)
        except ValueError:
            raise UnitError(f"{path}:{number}: expected integers after {utt!r}, got {text[:40]!r}") from None
        if utt in units:
            raise UnitError(f"{path}:{number}: utterance {utt!r} stands twice")
        if sequence.size and not 0 <= sequence.min() <= sequence.max() < source.clusters:
            raise UnitError(
                f"{path}:{number}: {utt}: expected units in 0..{source.clusters - 1}, "
                f"got {sequence.min()}..{sequence.max()}"
            )
        units[utt] = sequence
    return source, units


def same_source(sources: Mapping[str, UnitSource]) -> UnitSource:
    """The one source that all of `sources` (name -> source) share.

    Raises:
        UnitError: two names come from different codebooks or checkpoints.
    """
    (first, source), *others = sources.items()
    for name, other in others:
        if other != source:
            raise UnitError(f"units of different origin: {first} has {source}, {name} has {other}; rebuild `units`")
    return source


def read_languages(folder: Path, languages: Sequence[str]) -> tuple[UnitSource, dict[str, Units]]:
    """The units of all utterances in some languages, and their one origin.

    Raises:
        UnitError: a file is missing, or the files are of different origin.
    """
    files = {f"{lang}.tsv": read_units(folder / f"{lang}.tsv") for lang in languages}
    source = same_source({name: origin for name, (origin, _) in files.items()})
    return source, {utt: units for _, table in files.values() for utt, units in table.items()}


def run_lengths(units: Units) -> tuple[Units, Units]:
    """Run-length encode: (units without adjacent repeats, how many frames each lasts)."""
    if units.size == 0:
        return units, units
    starts = np.flatnonzero(np.concatenate(([True], units[1:] != units[:-1])))
    durations = np.diff(np.append(starts, units.size)).astype(np.int32)
    return units[starts], durations


def repeat(units: Units, durations: Units) -> Units:
    """Undo `run_lengths`."""
    return np.repeat(units, durations)
