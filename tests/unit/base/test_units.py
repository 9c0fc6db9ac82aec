"""base/units.py."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongyeok.base.units import UnitSource, read_languages, read_units, repeat, run_lengths, same_source, write_units
from tongyeok.errors import UnitError

SOURCE = UnitSource(codebook="c0de", checkpoint="cafe", clusters=10)


@given(st.lists(st.integers(0, 3), max_size=60))
def test_run_lengths_undo(sequence: list[int]) -> None:
    """`repeat(run_lengths(u)) = u`, no run stands beside its like, durations sum to the frames."""
    units = np.array(sequence, dtype=np.int32)
    codes, durations = run_lengths(units)
    assert np.array_equal(repeat(codes, durations), units)
    assert not np.any(codes[1:] == codes[:-1])
    assert durations.sum() == len(units)


def test_unit_file_round_trip(tmp_path: Path) -> None:
    """A unit file keeps source, order and sequences, an empty one too."""
    units = {"b": np.array([3, 3, 9], dtype=np.int32), "a": np.array([], dtype=np.int32)}
    write_units(tmp_path / "ko.tsv", SOURCE, units)
    source, back = read_units(tmp_path / "ko.tsv")
    assert source == SOURCE
    assert list(back) == ["b", "a"]
    assert all(np.array_equal(back[utt], units[utt]) for utt in units)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("u\t1 10", r"ko\.tsv:2: u: expected units in 0\.\.9, got 1\.\.10"),
        ("u\t1 x", r"ko\.tsv:2: expected integers after 'u'"),
        ("u\t1\nu\t2", r"ko\.tsv:3: utterance 'u' stands twice"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    """Out-of-range units, words and repeated ids are named by file and line."""
    write_units(tmp_path / "ko.tsv", SOURCE, {})
    with (tmp_path / "ko.tsv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UnitError, match=message):
        read_units(tmp_path / "ko.tsv")


def test_a_file_without_a_source_is_refused(tmp_path: Path) -> None:
    """Units that do not name their codebook are refused."""
    (tmp_path / "ko.tsv").write_text("u\t1 2\n")
    with pytest.raises(UnitError, match=r"ko\.tsv:1: expected `# \{codebook, checkpoint, clusters\}`"):
        read_units(tmp_path / "ko.tsv")


def test_units_of_two_codebooks_do_not_mix() -> None:
    """Mixing two codebooks is an error that names both."""
    other = UnitSource(codebook="beef", checkpoint="cafe", clusters=10)
    assert same_source({"ko": SOURCE, "en": SOURCE}) == SOURCE
    with pytest.raises(UnitError, match=r"different origin: ko has .*c0de.*en has .*beef"):
        same_source({"ko": SOURCE, "en": other})


def test_units_of_several_languages_have_one_source(tmp_path: Path) -> None:
    """The files of a folder are read into one table, unless one of them is another codebook's."""
    for lang, unit in (("ko", 3), ("en", 4)):
        write_units(tmp_path / f"{lang}.tsv", SOURCE, {f"a_{lang}": np.array([unit], dtype=np.int32)})
    source, units = read_languages(tmp_path, ["ko", "en"])
    assert source == SOURCE
    assert {utt: found.tolist() for utt, found in units.items()} == {"a_ko": [3], "a_en": [4]}
    write_units(tmp_path / "en.tsv", UnitSource(codebook="beef", checkpoint="cafe", clusters=10), {})
    with pytest.raises(UnitError, match=r"ko\.tsv has .*c0de.*en\.tsv has .*beef"):
        read_languages(tmp_path, ["ko", "en"])
