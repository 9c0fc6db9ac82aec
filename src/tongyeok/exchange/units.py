"""Unit files (`.unit`) of other projects, in their two forms.

- `utt|u u u …` lines: fairseq's GSLM (`quantize_with_kmeans.py`) and speech-to-speech tools;
- bare `u u u …` lines with a file list beside them, a name a line: fairseq's `generate_waveform_from_code.py`, and,
  one recording a file, UTUT and AV2AV.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tongyeok.base.files import write_text
from tongyeok.base.units import Units, UnitSource, run_lengths
from tongyeok.errors import UnitError


def write_unit_lines(path: Path, units: Mapping[str, Units], *, distinct: bool, listed: Path | None) -> None:
    """Write unit lines, in the mapping's order.

    Args:
        path: the file to write.
        units: full sequences, 50 a second.
        distinct: leave adjacent repeats out.
        listed: file that takes the names of bare lines; without it every line begins with its name.

    Raises:
        UnitError: an utterance's name has a `|` in it, where units would begin.
    """
    kept = {utt: run_lengths(sequence)[0] if distinct else sequence for utt, sequence in units.items()}
    lines = {utt: " ".join(map(str, sequence.tolist())) for utt, sequence in kept.items()}
    if listed is not None:
        write_text(path, "".join(f"{line}\n" for line in lines.values()))
        write_text(listed, "".join(f"{utt}\n" for utt in lines))
        return
    for utt in lines:
        if "|" in utt:
            raise UnitError(f"{path}: utterance {utt!r} has a `|` in its name, where units begin; rename it")
    write_text(path, "".join(f"{utt}|{line}\n" for utt, line in lines.items()))


def read_unit_lines(path: Path, source: UnitSource, *, distinct: bool, listed: Path | None) -> dict[str, Units]:
    """Read unit lines.

    Args:
        path: the file.
        source: the codebook that the units are of.
        distinct: whether they may come without repeats, that is, without durations.
        listed: file with the names of bare lines.

    Raises:
        UnitError: a file is missing or malformed, a name stands twice, a unit is out of range, or no sequence has a
            repeat though they should.
    """
    units: dict[str, Units] = {}
    for number, (utt, text) in enumerate(_lines(path, listed), start=1):
        try:
            sequence = np.array(text.split(), dtype=np.int32)
        except ValueError:
            raise UnitError(f"{path}:{number}: expected integers for {utt!r}, got {text[:40]!r}") from None
        if not utt or utt in units:
            raise UnitError(f"{path}:{number}: expected a name that is new, got {utt!r}; correct it")
        if not sequence.size or not 0 <= sequence.min() <= sequence.max() < source.clusters:
            raise UnitError(
                f"{path}:{number}: {utt}: expected units in 0..{source.clusters - 1} of the codebook, at least one, "
                f"got {text[:40]!r}"
            )
        units[utt] = sequence
    if not distinct and not any((sequence[1:] == sequence[:-1]).any() for sequence in units.values()):
        raise UnitError(
            f"{path}: no unit of {len(units)} utterances is repeated, so that durations are lost and no vocoder can be "
            "trained on them; write the file with repeats, or say --distinct if only translation is wanted"
        )
    return units


def _lines(path: Path, listed: Path | None) -> Iterator[tuple[str, str]]:
    """Name and units of each line."""
    for file in (path, *([listed] if listed else [])):
        if not file.is_file():
            raise UnitError(f"{file}: no such file")
    lines = path.read_text(encoding="utf-8").splitlines()
    if listed is None:
        for number, line in enumerate(lines, start=1):
            utt, bar, text = line.strip().partition("|")
            if not bar:
                raise UnitError(
                    f"{path}:{number}: expected `utt|u u u …`, got {line[:40]!r}; bare lines need their names (--list)"
                )
            yield utt, text
        return
    names = listed.read_text(encoding="utf-8").split()
    if len(names) != len(lines):
        raise UnitError(f"{listed}: expected {len(lines)} names, one for each line of {path}, got {len(names)}")
    yield from zip(names, lines, strict=True)
