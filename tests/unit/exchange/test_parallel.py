"""Pairs are drawn into train and valid so that no sentence is on both sides."""

from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.units import UnitSource, write_units
from tongyeok.errors import ManifestError, UnitError
from tongyeok.exchange.parallel import connect, draw_valid, read_pairs, write_parallel

# 20 sentences in three languages, every direction; the first has a second reading
PAIRS = [
    (f"{one}{number}", f"{other}{number}")
    for number in range(20)
    for one in ("en", "es", "ko")
    for other in ("en", "es", "ko")
    if one != other
] + [("en0b", "ko0")]


def test_a_group_is_drawn_whole() -> None:
    """Reverse directions, third languages and other readings of a sentence are on the same side."""
    valid = draw_valid(PAIRS, share=0.1, seed=1)
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for (source, _), is_valid in zip(PAIRS, valid, strict=True):
        sides[is_valid].add(source.strip("enskob"))
    assert not sides[True] & sides[False]
    assert sum(valid) in {13, 18, 19}  # groups of 6 or 7 lines until 12.1 are reached


def test_the_seed_decides_the_draw() -> None:
    """The same seed draws the same lines, in whatever order they come; another seed draws others."""
    first = draw_valid(PAIRS, share=0.3, seed=1)
    assert first == draw_valid(PAIRS, share=0.3, seed=1)
    assert first != draw_valid(PAIRS, share=0.3, seed=2)
    assert first[::-1] == draw_valid(PAIRS[::-1], share=0.3, seed=1)


def test_chains_of_pairs_are_one_group() -> None:
    """What is connected over others is connected."""
    assert connect([("c", "d"), ("b", "c"), ("x", "y"), ("a", "d")]) == {
        "a": "a", "b": "a", "c": "a", "d": "a", "x": "x", "y": "x"
    }  # fmt: skip


def test_sentences_are_those_of_the_bitext(tmp_path: Path) -> None:
    """Every side has its tag and its units without repeats, beside the list of its utterances."""
    _write_units(tmp_path)
    pairs = [("en0", "ko0"), ("ko0", "en0"), ("en1", "ko1")]
    counts = write_parallel(tmp_path / "out", pairs, folder=tmp_path / "units", share=0.3, seed=2)
    written = {path.name: path.read_text().splitlines() for path in (tmp_path / "out").iterdir()}
    sides = [written[f"train.{side}"] + written[f"valid.{side}"] for side in ("src", "tgt")]
    rows = list(zip(*sides, strict=True))
    assert counts == {split: len(written[f"{split}.ids"]) for split in ("train", "valid")}
    assert sorted(rows) == [("<en> 0 1", "<ko> 2 3"), ("<en> 1 2", "<ko> 3 0"), ("<ko> 2 3", "<en> 0 1")]
    assert sorted(written["train.ids"] + written["valid.ids"]) == ["en0\tko0", "en1\tko1", "ko0\ten0"]


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    """No pairs, a broken line, a share out of range, one group alone, and an utterance without units are named."""
    with pytest.raises(ManifestError, match="expected a list of pairs, got nothing"):
        read_pairs(tmp_path / "none")
    (tmp_path / "pairs").write_text("en0\tko0\nen1 ko1\n")
    with pytest.raises(ManifestError, match="pairs:2: expected `source<TAB>target`, got 'en1 ko1'"):
        read_pairs(tmp_path / "pairs")
    with pytest.raises(ManifestError, match="--valid-percent: expected a share between 0 and 1, got 10"):
        draw_valid(PAIRS, share=10, seed=1)
    with pytest.raises(ManifestError, match="1 groups of connected pairs leave nothing for training"):
        draw_valid([("en0", "ko0"), ("ko0", "en0")], share=0.1, seed=1)
    with pytest.raises(UnitError, match=r"expected <lang>\.tsv of the stage `units`, got none"):
        write_parallel(tmp_path, PAIRS, folder=tmp_path / "units", share=0.1, seed=1)
    _write_units(tmp_path)
    with pytest.raises(UnitError, match="no units for 1 utterances of the pairs, the first is 'fr0'"):
        write_parallel(tmp_path, [("en0", "ko0"), ("en1", "fr0")], folder=tmp_path / "units", share=0.1, seed=1)


def _write_units(folder: Path) -> None:
    source = UnitSource(codebook="c", checkpoint="", clusters=4)
    for shift, lang in ((0, "en"), (2, "ko")):
        rows = {
            f"{lang}{number}": np.array([number + shift] * 2 + [number + shift + 1], dtype=np.int32) % 4
            for number in (0, 1)
        }
        write_units(folder / "units" / f"{lang}.tsv", source, rows)
