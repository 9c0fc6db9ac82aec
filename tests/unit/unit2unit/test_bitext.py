"""The stage `bitext`."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.units import read_units, run_lengths, write_units
from tongyeok.base.utterances import read_utterances
from tongyeok.config import build
from tongyeok.errors import ConfigError, ManifestError, UnitError
from tongyeok.unit2unit import bitext
from tongyeok.unit2unit.tags import PREFIX, UTUT
from unit.unit2unit import toy_units
from unit.unit2unit.toy_units import CLUSTERS, SOURCE, Toy, config, run, utterance


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A corpus of its own, to be spoilt."""
    return toy_units.build(tmp_path)


def test_outputs_are_complete(toy: Toy, tmp_path: Path) -> None:
    """Text, ids, dictionary, binarised data and metrics are there, with as many lines as pairs."""
    metrics = run(toy, tmp_path / "out")
    for split, groups in toy_units.GROUPS.items():
        for kind in ("src", "tgt", "ids"):
            assert len((tmp_path / "out" / f"{split}.{kind}").read_text().splitlines()) == 6 * groups
        assert metrics[f"{split}_pairs"] == 6 * groups
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert (tmp_path / "out" / "bin" / "dict.src.txt").read_bytes() == (tmp_path / "out" / "dict.txt").read_bytes()


def test_sentences_are_tagged_and_without_repeats(toy: Toy, tmp_path: Path) -> None:
    """A line is the language's tag and the utterance's units without adjacent repeats, on either side."""
    run(toy, tmp_path / "out")
    source, target = (tmp_path / "out" / "train.ids").read_text().splitlines()[0].split("\t")
    for side, utt in (("src", source), ("tgt", target)):
        line = (tmp_path / "out" / f"train.{side}").read_text().splitlines()[0]
        language = utt.partition("-")[0]
        distinct, _ = run_lengths(read_units(toy.units / f"{language}.tsv")[1][utt])
        assert line == " ".join([f"<{language}>", *map(str, distinct)])


def test_dictionary_is_units_in_order_then_tags() -> None:
    """dict.txt has one line a unit, in the order of ids, then the tags in the order of the languages; utut a mask."""
    assert bitext.dictionary(3, ["ko", "en"], PREFIX) == "0 1\n1 1\n2 1\n<ko> 1\n<en> 1\n"
    assert bitext.dictionary(2, ["ko", "en"], UTUT) == "0 1\n1 1\n[ko] 1\n[en] 1\n<mask> 1\n"


def test_utut_sentences_hold_all_their_marks(toy: Toy, tmp_path: Path) -> None:
    """With utut tags the same units stand between `<s>` and `</s>`, the tag behind them, on either side."""
    prefix, utut = run(toy, tmp_path / "prefix"), run(toy, tmp_path / "utut", tags="utut")
    for side in ("src", "tgt"):
        ours = (tmp_path / "utut" / f"train.{side}").read_text().splitlines()
        for line, other in zip(ours, (tmp_path / "prefix" / f"train.{side}").read_text().splitlines(), strict=True):
            tag, units = other.split(" ", 1)
            assert line == f"<s> {units} </s> [{tag[1:-1]}]"
    assert utut["train_tokens_mean"] == prefix["train_tokens_mean"] + 1
    assert (tmp_path / "utut" / "dict.txt").read_text().splitlines()[-2:] == ["[es] 1", "<mask> 1"]


def test_an_unknown_convention_is_refused() -> None:
    """Tags of another name are refused with the two that there are."""
    values = dataclasses.asdict(config()) | {"tags": "mbart"}
    with pytest.raises(ConfigError, match=r"field `tags`: Input should be 'prefix' or 'utut', got 'mbart'"):
        build(bitext.BitextConfig, values, where="params.yaml: bitext")


def test_a_direction_can_be_left_out_of_training(toy: Toy, tmp_path: Path) -> None:
    """Directions that are not trained have no training pair; validation and test keep all of theirs."""
    run(toy, tmp_path / "all")
    metrics = run(toy, tmp_path / "some", train_directions=("ko-en", "en-ko", "en-es", "es-en"))
    trained = {tuple(utt[:2] for utt in line.split("\t")) for line in _lines(tmp_path / "some" / "train.ids")}
    assert trained == {("ko", "en"), ("en", "ko"), ("en", "es"), ("es", "en")}
    assert metrics["train_pairs"] == 4 * toy_units.GROUPS["train"]
    for split in ("valid", "test"):
        for kind in ("ids", "src", "tgt"):
            assert _lines(tmp_path / "some" / f"{split}.{kind}") == _lines(tmp_path / "all" / f"{split}.{kind}")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_training_pairs_into_a_language_are_repeated(toy: Toy, tmp_path: Path) -> None:
    """`train_repeats` writes training pairs into a language several times, and leaves validation and test alone."""
    run(toy, tmp_path / "out", train_repeats={"en": 3})
    lines = (tmp_path / "out" / "train.tgt").read_text().splitlines()
    groups = toy_units.GROUPS["train"]
    assert [sum(line.startswith(f"<{lang}>") for line in lines) for lang in ("ko", "en", "es")] == [
        2 * groups,
        6 * groups,
        2 * groups,
    ]
    assert len((tmp_path / "out" / "test.tgt").read_text().splitlines()) == 6 * toy_units.GROUPS["test"]


def test_languages_out_of_the_list_are_left_out(toy: Toy, tmp_path: Path) -> None:
    """Utterances of a language that is not configured make no pairs and need no units."""
    (toy.units / "es.tsv").unlink()
    run(toy, tmp_path / "out", languages=("en", "ko"))
    assert (tmp_path / "out" / "dict.txt").read_text().splitlines()[-2:] == ["<en> 1", "<ko> 1"]
    assert len((tmp_path / "out" / "test.src").read_text().splitlines()) == 2 * toy_units.GROUPS["test"]


def test_missing_units_are_counted(toy: Toy, tmp_path: Path) -> None:
    """Utterances of the manifest without units are counted and the first is named."""
    units = read_units(toy.units / "en.tsv")[1]
    del units["en-3"], units["en-5"]
    write_units(toy.units / "en.tsv", SOURCE, units)
    with pytest.raises(
        UnitError, match=r"en.tsv: no units for 2 utterances of the manifest, the first is 'en-3'; rebuild"
    ):
        run(toy, tmp_path / "out")


def test_units_of_other_origin_are_refused(toy: Toy, tmp_path: Path) -> None:
    """Two languages' units must come from one codebook."""
    units = read_units(toy.units / "en.tsv")[1]
    write_units(toy.units / "en.tsv", toy_units.UnitSource(codebook="d", checkpoint="", clusters=CLUSTERS), units)
    with pytest.raises(UnitError, match="units of different origin"):
        run(toy, tmp_path / "out")


def test_a_group_in_two_splits_is_refused(toy: Toy, tmp_path: Path) -> None:
    """A group of the training set that also stands in the test set stops the stage."""
    rows = read_utterances(toy.corpus)
    toy_units.write_split(toy, "test", [row for row in rows if row.group in {"g0", "g16"}])
    with pytest.raises(ManifestError, match="group 'g0' stands in two splits"):
        run(toy, tmp_path / "out")


def test_an_utterance_out_of_the_corpus_is_refused(toy: Toy, tmp_path: Path) -> None:
    """A manifest of another corpus is noticed."""
    toy_units.write_split(toy, "test", [utterance("en-99", "g99", "en")])
    with pytest.raises(
        ManifestError, match=r"1 utterances are not in the corpus.s utterances\.tsv, the first is .en-99."
    ):
        run(toy, tmp_path / "out")


def test_an_empty_direction_is_refused(toy: Toy, tmp_path: Path) -> None:
    """A split without any pair of a direction stops the stage and names both."""
    rows = [row for row in read_utterances(toy.corpus) if row.group in {"g15", "g16"} and row.lang != "es"]
    toy_units.write_split(toy, "test", rows)
    with pytest.raises(ManifestError, match="test: no group has both languages of ko-es; add such recordings"):
        run(toy, tmp_path / "out")


def test_a_long_sentence_is_refused(toy: Toy, tmp_path: Path) -> None:
    """A sentence above `max_tokens` is named with its length, tag and end mark counted."""
    units = read_units(toy.units / "ko.tsv")[1]
    units["ko-1"] = np.arange(64, dtype=np.int32) % CLUSTERS
    write_units(toy.units / "ko.tsv", SOURCE, units)
    with pytest.raises(UnitError, match=r"ko-1: expected at most 64 tokens \(bitext.max_tokens\), got 66"):
        run(toy, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": ("ko",)}, "languages: expected at least two"),
        ({"directions": ("ko-fr",)}, "directions: expected"),
        ({"train_directions": ("ko-fr",)}, "train_directions: expected `source-target`"),
        ({"train_directions": ()}, "train_directions: expected `all` or a list of different directions"),
        (
            {"directions": ("ko-en",), "train_directions": ("en-ko",)},
            "train_directions: expected `all` or some of the directions ko-en, got en-ko; remove it, or add it",
        ),
        ({"max_tokens": 2}, "max_tokens: expected at least 3"),
        ({"train_repeats": {"fr": 2}}, "train_repeats: expected languages"),
        ({"train_repeats": {"en": 0}}, "train_repeats: expected languages"),
        ({"pairs_per_group": 0}, "pairs_per_group: expected at least 1"),
    ],
)
def test_rules_of_the_section(changes: dict[str, object], message: str) -> None:
    """A value that breaks a rule is named with what was expected."""
    with pytest.raises(ValueError, match=message):
        config(**changes)
