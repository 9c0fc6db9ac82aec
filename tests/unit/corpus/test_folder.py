"""corpus/sources/folder.py: the two layouts and their tables."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tongyeok.corpus.sources import folder
from tongyeok.errors import CorpusError

FOLDERS = folder.FolderConfig(importer="folder", layout="folders")
NAMES = folder.FolderConfig(importer="folder", layout="names")


def beep(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.ones(1_600, dtype=np.float32) / 2, 16_000)


def test_names_tell_language_and_group(tmp_path: Path) -> None:
    """`greeting_ko_0001` and `greeting_en_0001` are one group; other languages are left out; the order is sorted."""
    for name in (
        "y/greeting_ko_0001.wav",
        "x/greeting_en_0001.flac",
        "x/two_words_en_0002.wav",
        "x/greeting_fr_0001.wav",
    ):
        beep(tmp_path / name)
    found = folder.recordings(NAMES, data=tmp_path, languages=("ko", "en"))
    assert [(r.utt, r.group, r.lang) for r in found] == [
        ("greeting_en_0001", "greeting_0001", "en"),
        ("two_words_en_0002", "two_words_0002", "en"),
        ("greeting_ko_0001", "greeting_0001", "ko"),
    ]


def test_an_unfitting_name_is_refused(tmp_path: Path) -> None:
    """A file that breaks the naming convention is named, with both ways out."""
    beep(tmp_path / "greeting.wav")
    with pytest.raises(CorpusError, match=re.escape("expected a name like `greeting_ko_0001.wav`, got 'greeting.wav'")):
        folder.recordings(NAMES, data=tmp_path, languages=("ko",))


def test_a_table_may_name_groups(tmp_path: Path) -> None:
    """Several speakers of one sentence are one group when the table says so."""
    for name in ("one", "two"):
        beep(tmp_path / "ko" / f"{name}.wav")
    (tmp_path / "ko.tsv").write_text("id\tgroup\tspeaker\none\ts1\tkim\ntwo\ts1\tlee\n")
    found = folder.recordings(FOLDERS, data=tmp_path, languages=("ko",))
    assert [(r.utt, r.group, r.speaker) for r in found] == [("one_ko", "s1", "kim"), ("two_ko", "s1", "lee")]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "ko.tsv:1: expected a header with `id` and any of group, text, speaker, split, got ''"),
        ("id\tvoice\none\tx\n", "ko.tsv:1: expected a header"),
        ("id\ttext\none\n", "ko.tsv:2: expected 2 columns, got 1"),
        ("id\none\none\n", "ko.tsv:3: id 'one' stands twice"),
        ("id\nother\n", "one.wav: expected a row for 'one' in ko.tsv, got none"),
        (
            "id\none\nlost\ngone\n",
            "ko.tsv: expected an audio file ko/lost (.wav, .flac, .ogg, .mp3), got none (2 such rows)",
        ),
    ],
)
def test_a_table_must_fit_its_folder(tmp_path: Path, table: str, told: str) -> None:
    """A malformed table, a file without a row and a row without a file are refused with file and line."""
    beep(tmp_path / "ko" / "one.wav")
    (tmp_path / "ko.tsv").write_text(table)
    with pytest.raises(CorpusError, match=re.escape(told)):
        folder.recordings(FOLDERS, data=tmp_path, languages=("ko",))
