"""What holds for every bitext."""

from pathlib import Path

import pytest

from tongyeok.base.utterances import read_utterances
from unit.unit2unit import toy_units
from unit.unit2unit.toy_units import Toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy corpus; tests only read it."""
    return toy_units.build(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def outputs(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bitext of all directions."""
    folder = tmp_path_factory.mktemp("bitext") / "out"
    toy_units.run(toy, folder)
    return folder


def _ids(outputs: Path, split: str) -> list[tuple[str, str]]:
    pairs = [line.split("\t") for line in (outputs / f"{split}.ids").read_text().splitlines()]
    return [(source, target) for source, target in pairs]


def test_no_group_is_trained_and_tested(toy: Toy, outputs: Path) -> None:
    """A sentence that is tested stands in no other split, in no direction."""
    group = {row.utt: row.group for row in read_utterances(toy.corpus)}
    groups = [{group[utt] for pair in _ids(outputs, split) for utt in pair} for split in toy_units.GROUPS]
    assert [len(each) for each in groups] == list(toy_units.GROUPS.values())
    assert len(set.union(*groups)) == sum(toy_units.GROUPS.values())


def test_pairs_are_translations(toy: Toy, outputs: Path) -> None:
    """Both sides of each pair are of one group, in different languages."""
    rows = {row.utt: row for row in read_utterances(toy.corpus)}
    for split in toy_units.GROUPS:
        for source, target in _ids(outputs, split):
            assert rows[source].group == rows[target].group
            assert rows[source].lang != rows[target].lang


def test_each_test_source_has_one_reference_a_language(outputs: Path) -> None:
    """No source utterance meets a target language twice."""
    found = [(source, target.partition("-")[0]) for source, target in _ids(outputs, "test")]
    assert len(set(found)) == len(found)


def test_the_same_input_gives_the_same_bytes(toy: Toy, outputs: Path, tmp_path: Path) -> None:
    """Running the stage twice writes the same files."""
    toy_units.run(toy, tmp_path / "again")
    files = [path.relative_to(outputs) for path in sorted(outputs.rglob("*")) if path.is_file()]
    assert files == [
        path.relative_to(tmp_path / "again") for path in sorted((tmp_path / "again").rglob("*")) if path.is_file()
    ]
    assert [name for name in files if (outputs / name).read_bytes() != (tmp_path / "again" / name).read_bytes()] == []
