"""The table of made speech, and the trials of a bitext."""

from pathlib import Path

import pytest

from tongyeok.base.utterances import read_utterances
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.speech import Speech, chosen, read_speech, read_trials, write_speech


def test_written_is_read(tmp_path: Path) -> None:
    """Rows come back as they were written, an empty clip too."""
    rows = [
        Speech(kind="translated", direction="ko-en", utt="u1", audio="ko-en.zip:0:9", samples=320),
        Speech(kind="resynthesised", direction="en", utt="u2", audio="", samples=0),
    ]
    write_speech(tmp_path, rows)
    assert read_speech(tmp_path) == rows


@pytest.mark.parametrize(
    "line", ["translated\tko-en\tu1\tx.zip", "spoken\tko-en\tu1\tx.zip\t3", "translated\ta\tb\tc\tx"]
)
def test_a_malformed_row_is_named(tmp_path: Path, line: str) -> None:
    """A row that does not fit is an error with file and line."""
    write_speech(tmp_path, [])
    with (tmp_path / "speech.tsv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(EvaluationError, match=r"speech\.tsv:2: expected kind, direction"):
        read_speech(tmp_path)


def test_missing_and_strange_tables(tmp_path: Path) -> None:
    """No table, or one with other columns, is an error."""
    with pytest.raises(EvaluationError, match="run the stage `translate_test` first"):
        read_speech(tmp_path)
    (tmp_path / "speech.tsv").write_text("utt\n")
    with pytest.raises(EvaluationError, match=r"speech\.tsv:1: expected the columns kind, direction"):
        read_speech(tmp_path)


def test_trials_by_direction(built: Path) -> None:
    """Every line of the bitext is one trial of its direction, source first."""
    trials = read_trials(built / "bitext", read_utterances(built / "corpus"))
    assert [str(direction) for direction in trials] == ["ko-en", "en-ko"]
    first = next(iter(trials.values()))[0]
    assert (first.pair.source.utt, first.pair.target.utt) == ("g0_ko", "g0_en")
    assert first.source_units.startswith("<ko> ")
    assert first.target_units.startswith("<en> ")


def test_directions_are_chosen(built: Path) -> None:
    """`all`, or a list in its own order; what the bitext lacks is refused."""
    trials = read_trials(built / "bitext", read_utterances(built / "corpus"))
    assert [str(direction) for direction in chosen("all", trials)] == ["ko-en", "en-ko"]
    assert [str(direction) for direction in chosen(["en-ko"], trials)] == ["en-ko"]
    with pytest.raises(EvaluationError, match=r"translate_test\.directions: .*got 'fr-en'.*ko-en, en-ko"):
        chosen(["fr-en"], trials)
    del trials[next(iter(trials))]
    with pytest.raises(EvaluationError, match="no test pairs for ko-en; the bitext has en-ko"):
        chosen(["ko-en"], trials)


def test_files_of_different_length(tiny: Path) -> None:
    """ids, sources and targets must have as many lines."""
    path = tiny / "bitext" / "test.tgt"
    path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(EvaluationError, match=r"have \[6, 6, 5\] lines"):
        read_trials(tiny / "bitext", read_utterances(tiny / "corpus"))


def test_an_utterance_that_the_corpus_lacks(built: Path) -> None:
    """A bitext of another corpus is refused by the utterance's name."""
    with pytest.raises(EvaluationError, match="the corpus has no utterance 'g0_ko'"):
        read_trials(built / "bitext", [row for row in read_utterances(built / "corpus") if row.lang == "en"])
