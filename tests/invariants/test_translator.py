"""What holds for every translator: it repeats, resumes, and translates a sentence the same in any company."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tongyeok.engine.translation import UnitTranslator
from tongyeok.unit2unit.translator import read_pairs
from unit.unit2unit import toy_training, toy_units

KILLED_AT, SAVED_EVERY = 6, 4


@pytest.fixture(scope="module")
def bitext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bitext of the toy corpus; tests only read it."""
    root = tmp_path_factory.mktemp("toy")
    toy_units.run(toy_units.build(root), root / "bitext")
    return root / "bitext"


@pytest.fixture(scope="module")
def trained(bitext: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of an uninterrupted training."""
    root = tmp_path_factory.mktemp("trained")
    toy_training.run(bitext, root, toy_training.config(validate_every=SAVED_EVERY))
    return root / "out"


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(bitext: Path, trained: Path, tmp_path: Path) -> None:
    """Two trainings in different folders write the same outputs, checkpoint included."""
    toy_training.run(bitext, tmp_path, toy_training.config(validate_every=SAVED_EVERY))
    ours, before = _bytes(tmp_path / "out"), _bytes(trained)
    assert [name for name in before if ours.get(name) != before[name]] == []


def test_resumed_is_uninterrupted(bitext: Path, trained: Path, tmp_path: Path) -> None:
    """A training that is interrupted between two saves and run again writes the same outputs."""

    def kill(step: int, _values: Mapping[str, float]) -> None:
        if step == KILLED_AT:
            raise KeyboardInterrupt

    cfg = toy_training.config(validate_every=SAVED_EVERY)
    with pytest.raises(KeyboardInterrupt):
        toy_training.run(bitext, tmp_path, cfg, on_metrics=kill)
    assert list((tmp_path / "out").iterdir()) == []
    steps: list[int] = []
    toy_training.run(bitext, tmp_path, cfg, on_metrics=lambda step, _values: steps.append(step))
    assert min(steps) > SAVED_EVERY, "the training began anew"
    ours, before = _bytes(tmp_path / "out"), _bytes(trained)
    assert [name for name in before if ours.get(name) != before[name]] == []


def test_patience_ends_a_training(bitext: Path, tmp_path: Path) -> None:
    """Without a lower validation loss for `patience` validations the training stops, and stays so when run again."""
    cfg = toy_training.config(validate_every=2, updates=40, learning_rate=1e-9, patience=2)
    for _ in range(2):
        metrics = toy_training.run(bitext, tmp_path, cfg)
        assert metrics["updates"] < 40


def test_company_does_not_matter(bitext: Path, trained: Path) -> None:
    """A sentence has the same translation alone as among others, and never is there a tag or nothing in it."""
    translator = UnitTranslator(trained / "checkpoint.pt", trained / "dict.txt", device="cpu")
    sources, _ = read_pairs(bitext, "train")
    sources = [source if row % 2 else " ".join(source.split()[:4]) for row, source in enumerate(sources[:12])]
    together = translator.translate(sources, tag="<en>", beam=3, longest_per_token=1.0, longest_extra=3)
    alone = [
        translator.translate([source], tag="<en>", beam=3, longest_per_token=1.0, longest_extra=3)[0]
        for source in sources
    ]
    for source, one, other in zip(sources, together, alone, strict=True):
        np.testing.assert_array_equal(one, other)
        assert 1 <= one.size <= len(source.split()) + 1 + 3
        assert 0 <= one.min() <= one.max() < toy_units.CLUSTERS


def test_an_unknown_token_is_refused(trained: Path) -> None:
    """A unit or tag beyond the dictionary is named."""
    translator = UnitTranslator(trained / "checkpoint.pt", trained / "dict.txt", device="cpu")
    for source, tag in (("<ko> 999", "<en>"), ("<ko> 1", "<fr>")):
        with pytest.raises(ValueError, match="is not in the translator's dictionary"):
            translator.translate([source], tag=tag, beam=1)
