"""corpus/manifest.py: official and seeded splits, and what is refused."""

import re
from pathlib import Path

import pytest

from tongyeok import config
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import silent
from tongyeok.base.utterances import Utterance, write_utterances
from tongyeok.corpus import manifest
from tongyeok.errors import ConfigError, ManifestError


def settings(**changes: object) -> manifest.ManifestConfig:
    values = {
        "splits": "official",
        "together": "group",
        "valid": 2,
        "test": 3,
        "seed": 1,
        "min_seconds": 0.5,
        "max_seconds": 10.0,
    }
    return config.build(manifest.ManifestConfig, values | changes, where="manifest")


def utterance(group: str, lang: str = "ko", **changes: object) -> Utterance:
    values = {"split": "train", "speaker": "kim", "text": f"{group} in {lang}", "audio": f"{lang}-000.zip:0:9"}
    return Utterance(**({"utt": f"{group}_{lang}", "group": group, "lang": lang, "samples": 16_000} | values | changes))


def ten_groups() -> list[Utterance]:
    splits = ["train"] * 6 + ["valid"] * 2 + ["test"] * 2
    return [utterance(f"g{i}", lang, split=split) for i, split in enumerate(splits) for lang in ("ko", "en")]


def make(tmp_path: Path, utterances: list[Utterance], cfg: manifest.ManifestConfig) -> tuple[Path, dict[str, float]]:
    corpus, outputs = tmp_path / "corpus", tmp_path / "manifest"
    for folder in (corpus, outputs):
        folder.mkdir()
    write_utterances(corpus, utterances)
    inputs = manifest.Inputs(corpus=corpus)
    return outputs, manifest.run(cfg, inputs=inputs, outputs=outputs, context=silent(tmp_path))


def test_official_splits_are_kept(tmp_path: Path) -> None:
    """All languages of a split stand in one manifest, in the corpus's order, with hours and groups counted."""
    folder, metrics = make(tmp_path, ten_groups(), settings())
    read = read_manifest(folder, "valid")
    assert read.utts == ("g6_ko", "g6_en", "g7_ko", "g7_en")
    assert read.root == (tmp_path / "corpus").resolve()
    assert metrics["groups/train"] == 6
    assert metrics["utterances/test"] == 4
    assert metrics["hours/valid"] == pytest.approx(4 / 3600, abs=1e-4)


def test_short_and_long_utterances_are_left_out(tmp_path: Path) -> None:
    """Utterances beyond the limits are left out and counted."""
    extra = [utterance("g10", samples=100), utterance("g11", samples=16_000 * 11)]
    folder, metrics = make(tmp_path, ten_groups() + extra, settings())
    assert metrics["left_out"] == 2
    assert "g10_ko" not in read_manifest(folder, "train").utts


def test_texts_seen_in_training_are_counted(tmp_path: Path) -> None:
    """A held-out utterance whose sentence also trains under another group shows in the metrics."""
    extra = utterance("g10", text="g9 in ko")
    _, metrics = make(tmp_path, [*ten_groups(), extra], settings())
    assert metrics["texts_seen_in_training"] == 1


def test_seeded_splits_hold_out_what_is_asked() -> None:
    """Counts are groups, shares are shares of the groups, and another seed draws others."""
    counted = manifest.seeded(ten_groups(), settings(splits="seeded"))
    assert sorted(counted.values()) == ["test"] * 3 + ["train"] * 5 + ["valid"] * 2
    shared = manifest.seeded(ten_groups(), settings(splits="seeded", valid=0.1, test=0.2))
    assert sorted(shared.values()) == ["test"] * 2 + ["train"] * 7 + ["valid"]
    assert manifest.seeded(ten_groups(), settings(splits="seeded", seed=2)) != counted


@pytest.mark.parametrize(
    ("changes", "cfg", "told"),
    [
        (
            {"split": ""},
            {},
            "utterance g0_es: expected an official split of train, valid, test, got ''; correct the corpus",
        ),
        ({"split": "dev"}, {}, "got 'dev'"),
        (
            {"split": "test"},
            {},
            "group g0: expected one split, got train (utterance g0_ko) and test (utterance g0_es); correct the corpus",
        ),
        ({}, {"together": "speaker"}, "speaker kim: expected one split, got train (utterance g0_ko) and valid"),
        ({"speaker": ""}, {"together": "speaker"}, "utterance g0_es: expected a speaker, got none; name the speakers"),
        ({}, {}, "valid: expected utterances in en, es, ko, got none in es; hold out more groups"),
    ],
)
def test_contradictory_official_splits_are_refused(
    tmp_path: Path, changes: dict[str, object], cfg: dict[str, object], told: str
) -> None:
    """Missing, unknown and torn official splits are refused, naming utterances on both sides."""
    odd = utterance("g0", "es", **changes)
    utterances = [ten_groups()[0], odd, *ten_groups()[1:]]
    with pytest.raises(ManifestError, match=re.escape(told)):
        make(tmp_path, utterances, settings(**cfg))


def test_holding_out_too_much_is_refused() -> None:
    """When groups that stay together leave too few to hold out, the error says what was asked and found."""
    tied = [utterance(f"g{i}", text="the same") for i in range(6)]
    with pytest.raises(
        ManifestError, match=re.escape("manifest.test: expected 3 of 6 groups that can be held out whole, got 0")
    ):
        manifest.seeded(tied, settings(splits="seeded"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"valid": 0}, "valid: expected a whole number of groups or a share between 0 and 1, got 0"),
        ({"test": 2.5}, "test: expected a whole number of groups or a share between 0 and 1, got 2.5"),
        ({"min_seconds": 11.0}, "min_seconds: expected 0 to below max_seconds 10.0, got 11.0"),
    ],
)
def test_bad_settings_are_explained(changes: dict[str, object], told: str) -> None:
    """Each rule of the section is told with field, rule and what was given."""
    with pytest.raises(ConfigError, match=re.escape(told)):
        settings(**changes)
