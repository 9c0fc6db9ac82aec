"""Masked unit pre-training: what it learns from, and that translation begins with it."""

import csv
from pathlib import Path

import pytest

from tongyeok.base.team import Team
from tongyeok.config import build
from tongyeok.engine.translation import Masking
from tongyeok.errors import ConfigError, TrainingError
from tongyeok.unit2unit import pretraining
from tongyeok_fairseq import translation_train
from unit.unit2unit import toy_training, toy_units

MASKING = Masking(share=0.3, span_mean=2.0)


@pytest.fixture(scope="module")
def bitext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bitext with UTUT's tags; tests only read it."""
    return toy_units.build_bitext(tmp_path_factory.mktemp("toy"), tags="utut")


def test_every_utterance_is_restored_once(bitext: Path, tmp_path: Path) -> None:
    """An utterance of several pairs stands once among the sentences, the same on both sides; none is of the test."""
    folder = tmp_path / "sentences"
    assert pretraining.binarise_sentences(bitext, folder, workers=1) == folder / "bin"
    assert not list(folder.rglob("test*"))
    for split in ("train", "valid"):
        sentences = (folder / f"{split}.src").read_text().splitlines()
        assert len(sentences) == len(toy_units.LANGUAGES) * toy_units.GROUPS[split]
        assert (folder / f"{split}.tgt").read_text().splitlines() == sentences
        paired = {line for side in ("src", "tgt") for line in (bitext / f"{split}.{side}").read_text().splitlines()}
        assert set(sentences) == paired


@pytest.mark.parametrize("learns", ["translation", "restoration"])
def test_translation_begins_with_what_was_learned(bitext: Path, tmp_path: Path, learns: str) -> None:
    """After a pre-training the first loss of translation is lower than with random weights, and both curves stand."""
    losses = {}
    for name, part in (("random", None), ("pretrained", toy_training.pretraining(MASKING, learns, updates=60))):
        cfg = toy_training.config(parts={"pretraining": part}, tokens_per_batch=600)
        metrics = toy_training.run(bitext, tmp_path / name, cfg)
        with (tmp_path / name / "out" / "curves.csv").open() as file:
            losses[name] = float(next(csv.DictReader(file))["train_loss"])
    assert losses["pretrained"] < losses["random"] - 0.2
    assert metrics["pretraining_updates"] == 60
    curve = (tmp_path / "pretrained" / "out" / "pretraining" / "curves.csv").read_text().splitlines()
    assert curve[-1].startswith("60,")
    assert not (tmp_path / "random" / "out" / "pretraining").exists()


def test_figures_of_both_phases_have_names_of_their_own(bitext: Path, tmp_path: Path) -> None:
    """Curves of the pre-training go out under `pretraining/`, steps beginning anew with translation."""
    seen: list[tuple[int, set[str]]] = []
    cfg = toy_training.config(parts={"pretraining": toy_training.pretraining(MASKING)})
    toy_training.run(bitext, tmp_path, cfg, on_metrics=lambda step, values: seen.append((step, set(values))))
    assert (8, True) in [(step, "pretraining/valid/loss" in names) for step, names in seen]
    assert (8, True) in [(step, "valid/loss" in names) for step, names in seen]


@pytest.mark.parametrize(("phase", "section"), [("pretraining", "translator.pretraining"), (None, "translator")])
def test_the_remedy_names_the_phase(
    bitext: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str | None, section: str
) -> None:
    """Updates that two processes cannot share are mended in the section of the phase that has them."""
    monkeypatch.setattr(translation_train, "here", lambda: Team(rank=0, size=2))
    part = phase and toy_training.pretraining(MASKING, "translation")
    cfg = toy_training.config(parts={"pretraining": part}, tokens_per_batch=600)
    remedy = rf"{section}\.optimisation\.tokens_per_batch=300 {section}\.optimisation\.batches_per_update=2`"
    with pytest.raises(ConfigError, match=f"`tongyeok params {remedy}"):
        toy_training.run(bitext, tmp_path, cfg)


@pytest.mark.parametrize("part", ["pretraining", "source_masking"])
def test_tags_without_a_mask_are_refused(part: str, tmp_path: Path) -> None:
    """The prefix convention has no `<mask>`; the message says which tags have."""
    bitext = toy_units.build_bitext(tmp_path)
    wanted = MASKING if part == "source_masking" else toy_training.pretraining(MASKING)
    with pytest.raises(TrainingError, match=r"has no <mask>; take bitext\.tags: utut"):
        toy_training.run(bitext, tmp_path, toy_training.config(parts={part: wanted}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 0.0, "span_mean": 10.0}, "share: expected 0 < share < 1, got 0.0; put null"),
        ({"share": 1.0, "span_mean": 10.0}, "share: expected 0 < share < 1"),
        ({"share": 0.3, "span_mean": 0.5}, "span_mean: expected at least 1 unit"),
    ],
)
def test_rules_of_masking(values: dict[str, float], message: str) -> None:
    """A share or a length that cannot be is named."""
    with pytest.raises(ConfigError, match=message):
        build(Masking, values, where="test")
