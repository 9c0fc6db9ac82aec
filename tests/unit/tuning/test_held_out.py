"""A study's splits."""

from pathlib import Path

import pytest

from tongyeok.base.manifests import SPLITS, read_manifest
from tongyeok.errors import ManifestError
from tongyeok.tuning.held_out import write_splits
from unit.unit2unit import toy_units


def splits(folder: Path) -> dict[str, set[str]]:
    return {split: set(read_manifest(folder, split).utts) for split in SPLITS}


def test_test_is_in_nothing_that_a_study_reads(tmp_path: Path) -> None:
    """Its test split is the project's valid, its valid leaves train by groups; the project's test is nowhere."""
    toy = toy_units.build(tmp_path)
    write_splits(toy.manifest, toy.corpus, tmp_path / "study", seed=1)
    given, made = splits(toy.manifest), splits(tmp_path / "study")
    assert made["test"] == given["valid"]
    assert made["train"] | made["valid"] == given["train"]
    assert not given["test"] & set().union(*made.values())
    groups = [{utt.partition("-")[2] for utt in made[split]} for split in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert len(groups[1]) == len(groups[2]) == 3


def test_the_seed_decides(tmp_path: Path) -> None:
    """The same seed holds the same sentences out, another one others."""
    toy = toy_units.build(tmp_path)
    made = []
    for number, seed in enumerate((1, 1, 2)):
        write_splits(toy.manifest, toy.corpus, tmp_path / str(number), seed=seed)
        made.append(splits(tmp_path / str(number))["valid"])
    assert made[0] == made[1] != made[2]


def test_too_little_speech_is_refused(tmp_path: Path) -> None:
    """With three groups in train, none can be spared."""
    toy = toy_units.build(tmp_path, groups={"train": 3, "valid": 1, "test": 1})
    with pytest.raises(ManifestError, match="at least 4 in train to hold one out of, got 1 and 3"):
        write_splits(toy.manifest, toy.corpus, tmp_path / "study", seed=1)
