"""Pairs of utterances."""

from pathlib import Path

import pytest

from tongyeok.errors import ManifestError
from tongyeok.unit2unit import pairs
from tongyeok.unit2unit.pairs import Direction
from unit.unit2unit.toy_units import utterance

KO_EN = Direction(source="ko", target="en")


def test_all_directions_are_ordered_pairs_of_different_languages() -> None:
    """`all` is every ordered pair, sources in the order of the languages."""
    found = [str(direction) for direction in pairs.directions("all", ["ko", "en", "es"])]
    assert found == ["ko-en", "ko-es", "en-ko", "en-es", "es-ko", "es-en"]


def test_listed_directions_keep_their_order() -> None:
    """A list is taken as it stands."""
    assert [str(each) for each in pairs.directions(["es-en", "ko-en"], ["ko", "en", "es"])] == ["es-en", "ko-en"]


@pytest.mark.parametrize("wanted", ["ko-ko", "ko-fr", "koen", ""])
def test_a_strange_direction_is_refused(wanted: str) -> None:
    """A direction needs two known, different languages; the message names them."""
    with pytest.raises(ValueError, match=r"expected `source-target` of two languages among ko, en, got"):
        pairs.directions([wanted], ["ko", "en"])


@pytest.mark.parametrize("wanted", [[], ["ko-en", "ko-en"]])
def test_directions_differ_and_exist(wanted: list[str]) -> None:
    """An empty list and a direction that stands twice are refused."""
    with pytest.raises(ValueError, match="expected `all` or a list of different directions"):
        pairs.directions(wanted, ["ko", "en"])


def test_directions_of_a_bitext_are_read_off_its_tags(tmp_path: Path) -> None:
    """In either convention the tags of both sides tell a pair's direction; a split that is missing is named."""
    (tmp_path / "train.src").write_text("<ko> 1 2\n<ko> 3\n<s> 4 </s> [es]\n")
    (tmp_path / "train.tgt").write_text("<en> 1\n<en> 5 6\n<s> 7 </s> [ko]\n")
    assert pairs.directions_in(tmp_path, "train") == {KO_EN, Direction(source="es", target="ko")}
    with pytest.raises(ManifestError, match=r"valid\.src: no such file; run the stage `bitext` first"):
        pairs.directions_in(tmp_path, "valid")


def test_pairs_are_joined_by_group() -> None:
    """Each source meets the targets of its own group only; a group without a target has no pair."""
    rows = [
        utterance("k1", "1", "ko"),
        utterance("k2", "2", "ko"),
        utterance("e1", "1", "en"),
        utterance("s1", "1", "es"),
    ]
    joined = pairs.join(rows, KO_EN, per_group=9)
    assert [(pair.source.utt, pair.target.utt) for pair in joined] == [("k1", "e1")]


def test_several_speakers_make_all_pairs_in_rounds() -> None:
    """Two sources and three targets make six pairs; every source comes once before any comes twice."""
    rows = [utterance(f"k{n}", "1", "ko") for n in range(2)] + [utterance(f"e{n}", "1", "en") for n in range(3)]
    found = [(pair.source.utt, pair.target.utt) for pair in pairs.join(rows, KO_EN, per_group=9)]
    assert len(set(found)) == 6
    assert found[:2] == [("k0", "e0"), ("k1", "e1")]


def test_pairs_of_a_group_are_capped() -> None:
    """`per_group` keeps the first pairs of each group."""
    rows = [utterance(f"{lang}{n}", "1", lang) for lang in ("ko", "en") for n in range(3)]
    assert len(pairs.join(rows, KO_EN, per_group=4)) == 4


def test_each_source_has_one_reference() -> None:
    """For testing every source utterance is paired with the first target of its group in corpus order."""
    rows = [
        utterance("e0", "1", "en"),
        utterance("e1", "1", "en"),
        utterance("k0", "1", "ko"),
        utterance("k1", "1", "ko"),
    ]
    found = [(pair.source.utt, pair.target.utt) for pair in pairs.references(rows, KO_EN)]
    assert found == [("k0", "e0"), ("k1", "e0")]


def test_a_group_in_two_splits_is_refused() -> None:
    """The message names the group, both utterances and both splits."""
    splits = {"train": [utterance("k0", "g7", "ko")], "test": [utterance("e0", "g7", "en")]}
    with pytest.raises(ManifestError, match="group 'g7' stands in two splits: k0 in train, e0 in test"):
        pairs.check_groups(splits)
