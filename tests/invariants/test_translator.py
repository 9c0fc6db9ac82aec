"""What holds for every translator: it repeats, resumes, and translates a sentence the same in any company."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tongyeok.engine.translation import Architecture, Masking, UnitTranslator
from tongyeok.errors import CheckpointError
from tongyeok.unit2unit.translator import read_pairs
from tongyeok_fairseq.safety import load_checkpoint
from tongyeok_fairseq.steady import LAST
from unit.unit2unit import toy_training, toy_units

KILLED_AT, SAVED_EVERY = 6, 4
MASKING = Masking(share=0.3, span_mean=3.0)
UPDATES = 300


@pytest.fixture(scope="module")
def bitext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bitext of the toy corpus; tests only read it."""
    return toy_units.build_bitext(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def trained(bitext: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of an uninterrupted training."""
    root = tmp_path_factory.mktemp("trained")
    toy_training.run(bitext, root, toy_training.config(validate_every=SAVED_EVERY, optimizer="muon"))
    return root / "out"


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(bitext: Path, trained: Path, tmp_path: Path) -> None:
    """Two trainings in different folders write the same outputs, checkpoint included."""
    toy_training.run(bitext, tmp_path, toy_training.config(validate_every=SAVED_EVERY, optimizer="muon"))
    ours, before = _bytes(tmp_path / "out"), _bytes(trained)
    assert [name for name in before if ours.get(name) != before[name]] == []


def test_resumed_is_uninterrupted(bitext: Path, trained: Path, tmp_path: Path) -> None:
    """A training that is interrupted between two saves and run again writes the same outputs."""

    def kill(step: int, _values: Mapping[str, float]) -> None:
        if step == KILLED_AT:
            raise KeyboardInterrupt

    cfg = toy_training.config(validate_every=SAVED_EVERY, optimizer="muon")
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


@pytest.fixture(scope="module")
def utut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bitext with UTUT's tags; tests only read it."""
    return toy_units.build_bitext(tmp_path_factory.mktemp("utut"), tags="utut")


@pytest.mark.parametrize("killed_in", ["pretraining/", ""])
def test_a_masked_training_resumes_in_either_phase(utut: Path, tmp_path: Path, killed_in: str) -> None:
    """With pre-training and masked sources, a run interrupted in a later pass of either phase writes the same bytes."""
    updates, saved = 3 * SAVED_EVERY, 2 * SAVED_EVERY
    parts = {"pretraining": toy_training.pretraining(MASKING, updates=updates), "source_masking": MASKING}
    cfg = toy_training.config(validate_every=SAVED_EVERY, parts=parts, updates=updates)
    toy_training.run(utut, tmp_path / "whole", cfg)

    def kill(step: int, values: Mapping[str, float]) -> None:
        if step == saved + 2 and f"{killed_in}train/loss" in values:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_training.run(utut, tmp_path / "resumed", cfg, on_metrics=kill)
    state = load_checkpoint(tmp_path / "resumed" / "scratch" / killed_in / LAST)
    assert state["extra_state"]["train_iterator"]["epoch"] > 1, "later passes have masks of their own"
    steps: list[tuple[int, bool]] = []
    toy_training.run(
        utut,
        tmp_path / "resumed",
        cfg,
        on_metrics=lambda step, values: steps.append((step, any(name.startswith("pretraining/") for name in values))),
    )
    assert min(step for step, first in steps if first == bool(killed_in)) > saved, "the phase began anew"
    assert bool(killed_in) == any(first for _, first in steps), "a finished phase ran again"
    ours, before = _bytes(tmp_path / "resumed" / "out"), _bytes(tmp_path / "whole" / "out")
    assert list(ours) == list(before)
    assert [name for name in before if ours[name] != before[name]] == []


def test_masked_sources_change_the_training(utut: Path, tmp_path: Path) -> None:
    """Masking the sources gives another training loss, from the same weights and batches."""
    curves = {}
    for name, masking in (("masked", MASKING), ("plain", None)):
        toy_training.run(utut, tmp_path / name, toy_training.config(parts={"source_masking": masking}))
        curves[name] = (tmp_path / name / "out" / "curves.csv").read_text()
    assert curves["masked"] != curves["plain"]


@pytest.mark.parametrize(("tags", "marks"), [("prefix", 2), ("utut", 3)])
def test_a_toy_translator_learns_and_says_units_only(tmp_path: Path, tags: str, marks: int) -> None:
    """With either convention a toy translator learns from its sources, and says units without tags or marks.

    Of the toy language's words nothing but the source tells: a model that does not listen to it needs 5 log2(6) bits a
    sentence, however long it trains.
    """
    bitext = toy_units.build_bitext(tmp_path, groups={"train": 200, "valid": 10, "test": 3}, tags=tags)
    shape = Architecture(**(toy_training.architecture() | {"width": 32, "ffn_width": 64, "dropout": 0.0}))  # type: ignore[arg-type]
    plan = {"updates": UPDATES, "tokens_per_batch": 3000, "warmup_updates": 30}
    cfg = toy_training.config(validate_every=UPDATES, parts={"architecture": shape}, **plan)
    toy_training.run(bitext, tmp_path, cfg)
    *_, last = csv.DictReader((tmp_path / "out" / "curves.csv").read_text().splitlines())
    deaf = toy_units.WORDS * math.log2(toy_units.VOCABULARY) / (2 * toy_units.WORDS + marks)
    print(f"{tags}: {float(last['valid_nll']):.3f} bits a token, {deaf:.3f} without a source")
    assert float(last["valid_nll"]) < deaf
    translator = UnitTranslator(tmp_path / "out" / "checkpoint.pt", tmp_path / "out" / "dict.txt", device="cpu")
    sources, _ = read_pairs(bitext, "test")
    brackets = {"prefix": "<>", "utut": "[]"}[tags]
    for beam in (1, 3):
        for lang in toy_units.LANGUAGES:
            for units in translator.translate(sources, tag=lang.join(brackets), beam=beam):
                assert units.size
                assert 0 <= units.min() <= units.max() < toy_units.CLUSTERS


def test_the_forced_tag_decides_the_language(utut: Path, tmp_path: Path) -> None:
    """An untrained model with UTUT's tags answers in units for every tag, and the tag changes what it says."""
    toy_training.run(utut, tmp_path, toy_training.config(updates=3, warmup_updates=1))
    translator = UnitTranslator(tmp_path / "out" / "checkpoint.pt", tmp_path / "out" / "dict.txt", device="cpu")
    sources, _ = read_pairs(utut, "test")
    said = {
        lang: translator.translate(sources, tag=f"[{lang}]", beam=2, longest_per_token=1.0, longest_extra=3)
        for lang in toy_units.LANGUAGES
    }
    for lang, hypotheses in said.items():
        for source, units in zip(sources, hypotheses, strict=True):
            assert 1 <= units.size <= len(source.split()) + 3, lang
            assert 0 <= units.min() <= units.max() < toy_units.CLUSTERS
    assert any(not np.array_equal(one, other) for one, other in zip(said["ko"], said["en"], strict=True))


def test_company_does_not_matter_with_utut_tags(utut: Path, tmp_path: Path) -> None:
    """A sentence has the same translation alone as among others, at the tightest length too."""
    toy_training.run(utut, tmp_path, toy_training.config())
    translator = UnitTranslator(tmp_path / "out" / "checkpoint.pt", tmp_path / "out" / "dict.txt", device="cpu")
    sources, _ = read_pairs(utut, "train")
    words = [source.split() for source in sources[:12]]
    sources = [" ".join(line if row % 2 else [*line[:4], *line[-2:]]) for row, line in enumerate(words)]
    together = translator.translate(sources, tag="[en]", beam=3, longest_per_token=0.5, longest_extra=1)
    for source, other in zip(sources, together, strict=True):
        (alone,) = translator.translate([source], tag="[en]", beam=3, longest_per_token=0.5, longest_extra=1)
        np.testing.assert_array_equal(alone, other)
        assert 1 <= alone.size <= len(source.split()) // 2 + 1


def test_the_other_conventions_dictionary_is_refused(utut: Path, trained: Path) -> None:
    """A checkpoint that was trained with one convention does not open with the other's dictionary."""
    with pytest.raises(CheckpointError, match=r"made for a dictionary of 19 symbols, got 20; take its own dict\.txt"):
        UnitTranslator(trained / "checkpoint.pt", utut / "dict.txt", device="cpu")
