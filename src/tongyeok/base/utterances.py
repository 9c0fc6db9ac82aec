"""The utterance table: one row per recording, as the stage `corpus` writes it and every later stage reads it."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tongyeok.base.files import write_text
from tongyeok.errors import CorpusError


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One recording.

    `utt` is unique; utterances of one `group` are translations of each other; `lang` is an ISO 639 code; `split` is the
    corpus's official split or empty; `text` may be empty and never trains the textless chain; `audio` is a location
    (`pack.zip:offset:bytes`) relative to the corpus folder; `samples` counts 16 kHz samples.
    """

    utt: str
    group: str
    lang: str
    split: str
    speaker: str
    text: str
    audio: str
    samples: int


COLUMNS = tuple(field.name for field in fields(Utterance))
TABLE = "utterances.tsv"


def write_utterances(folder: Path, utterances: Iterable[Utterance]) -> None:
    """Write `utterances.tsv` (tab-separated, with a header) into a corpus folder."""
    rows = ["\t".join(COLUMNS)]
    rows += ["\t".join(str(value) for value in astuple(utterance)) for utterance in utterances]
    write_text(folder / TABLE, "\n".join(rows) + "\n")


def read_utterances(folder: Path) -> list[Utterance]:
    """Read the utterance table of a corpus folder.

    Raises:
        CorpusError: the table is missing, or a row does not fit the header.
    """
    path = folder / TABLE
    if not path.is_file():
        raise CorpusError(f"{path}: no utterance table; run the stage `corpus` first")
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if tuple(header.split("\t")) != COLUMNS:
        raise CorpusError(f"{path}:1: expected the columns {', '.join(COLUMNS)}, got {header!r}; rebuild `corpus`")
    utterances = []
    for number, line in enumerate(lines, start=2):
        values = line.split("\t")
        if len(values) != len(COLUMNS) or not values[-1].isdigit():
            raise CorpusError(f"{path}:{number}: expected {len(COLUMNS)} columns, got {line!r}; rebuild `corpus`")
        row = dict(zip(COLUMNS[:-1], values[:-1], strict=True))
        utterances.append(Utterance(**row, samples=int(values[-1])))
    return utterances
