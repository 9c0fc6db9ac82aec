"""base/utterances.py."""

from pathlib import Path

import pytest

from tongyeok.base.utterances import TABLE, Utterance, read_utterances, write_utterances
from tongyeok.errors import CorpusError

ROW = Utterance(
    utt="ko_1", group="1", lang="ko", split="", speaker="a", text="물을 마셔요.", audio="ko-000.zip:30:99", samples=320
)


def test_table_round_trip(tmp_path: Path) -> None:
    """A table reads back as it was written, Hangul and empty fields included."""
    write_utterances(tmp_path, [ROW])
    assert read_utterances(tmp_path) == [ROW]


def test_missing_table_names_the_stage(tmp_path: Path) -> None:
    """Without a table the message says which stage makes it."""
    with pytest.raises(CorpusError, match=r"utterances\.tsv: no utterance table; run the stage `corpus` first"):
        read_utterances(tmp_path)


def test_torn_row_is_named_by_line(tmp_path: Path) -> None:
    """A row with too few columns is named by file and line."""
    write_utterances(tmp_path, [ROW])
    with (tmp_path / TABLE).open("a", encoding="utf-8") as file:
        file.write("ko_2\t2\tko\n")
    with pytest.raises(CorpusError, match=r"utterances\.tsv:3: expected 8 columns"):
        read_utterances(tmp_path)


def test_foreign_header_is_refused(tmp_path: Path) -> None:
    """A table with other columns is refused at its first line."""
    (tmp_path / TABLE).write_text("id\tpath\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"utterances\.tsv:1: expected the columns utt, group"):
        read_utterances(tmp_path)
