"""What `translate_test` hands to `evaluate`: the trials it worked on, and the table `speech.tsv` of made speech."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from tongyeok.base.files import write_text
from tongyeok.base.utterances import Utterance
from tongyeok.errors import EvaluationError
from tongyeok.unit2unit.pairs import Direction, Pair, directions

TABLE = "speech.tsv"
TRANSLATED: Literal["translated"] = "translated"
RESYNTHESISED: Literal["resynthesised"] = "resynthesised"


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """One synthesised clip.

    `kind` is `translated` (then `direction` is such as `ko-en` and `utt` the source utterance) or `resynthesised` (then
    `direction` is the language and `utt` the utterance itself). `audio` is a location relative to the table's folder;
    it is empty, with 0 `samples`, where nothing could be said.
    """

    kind: str
    direction: str
    utt: str
    audio: str
    samples: int


COLUMNS = tuple(field.name for field in fields(Speech))


def write_speech(folder: Path, rows: Iterable[Speech]) -> None:
    """Write `speech.tsv`."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(map(str, astuple(row))) for row in rows]
    write_text(folder / TABLE, "\n".join(lines) + "\n")


def read_speech(folder: Path) -> list[Speech]:
    """Read `speech.tsv`.

    Raises:
        EvaluationError: the table is missing or malformed.
    """
    path = folder / TABLE
    if not path.is_file():
        raise EvaluationError(f"{path}: no such table; run the stage `translate_test` first")
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if tuple(header.split("\t")) != COLUMNS:
        raise EvaluationError(f"{path}:1: expected the columns {', '.join(COLUMNS)}, got {header!r}; rebuild it")
    rows = []
    for number, line in enumerate(lines, start=2):
        values = line.split("\t")
        if len(values) != len(COLUMNS) or not values[-1].isdigit() or values[0] not in {TRANSLATED, RESYNTHESISED}:
            raise EvaluationError(f"{path}:{number}: expected {', '.join(COLUMNS)}, got {line!r}; rebuild it")
        kind, direction, utt, audio, samples = values
        rows.append(Speech(kind=kind, direction=direction, utt=utt, audio=audio, samples=int(samples)))
    return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One test: an utterance with its one reference, and both as tagged unit sentences."""

    pair: Pair
    source_units: str
    target_units: str


def read_trials(bitext: Path, utterances: Iterable[Utterance]) -> dict[Direction, list[Trial]]:
    """The test split of a bitext folder by direction, in its order.

    Raises:
        EvaluationError: files of the bitext differ in length, or name utterances that the corpus lacks.
    """
    by_utt = {utterance.utt: utterance for utterance in utterances}
    columns = []
    for suffix in ("ids", "src", "tgt"):
        path = bitext / f"test.{suffix}"
        if not path.is_file():
            raise EvaluationError(f"{path}: no such file; run the stage `bitext` first")
        columns.append(path.read_text(encoding="utf-8").splitlines())
    if len({len(column) for column in columns}) != 1:
        raise EvaluationError(
            f"{bitext}: test.ids, .src and .tgt have {[len(c) for c in columns]} lines; rebuild `bitext`"
        )
    found: dict[Direction, list[Trial]] = {}
    for ids, source_units, target_units in zip(*columns, strict=True):
        names = ids.split("\t")
        missing = [name for name in names if name not in by_utt]
        if missing:
            raise EvaluationError(f"{bitext}/test.ids: the corpus has no utterance {missing[0]!r}; rebuild `bitext`")
        source, target = (by_utt[name] for name in names)
        row = Trial(pair=Pair(source=source, target=target), source_units=source_units, target_units=target_units)
        found.setdefault(Direction(source=source.lang, target=target.lang), []).append(row)
    return found


def chosen(
    wanted: Literal["all"] | Sequence[str], pairs: Mapping[Direction, list[Trial]]
) -> dict[Direction, list[Trial]]:
    """The pairs of the wanted directions.

    Raises:
        EvaluationError: a direction is malformed or has no test pair.
    """
    known = ", ".join(map(str, pairs))
    if wanted == "all":
        return dict(pairs)
    languages = sorted({lang for direction in pairs for lang in (direction.source, direction.target)})
    try:
        directions_ = directions(wanted, languages)
    except ValueError as error:
        raise EvaluationError(f"translate_test.{error}; the bitext's test split has {known}") from None
    for direction in directions_:
        if direction not in pairs:
            raise EvaluationError(f"translate_test.directions: no test pairs for {direction}; the bitext has {known}")
    return {direction: pairs[direction] for direction in directions_}
