"""Scores of a direction beside its ceilings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.utterances import read_utterances
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.scores import (
    Heard,
    Outcome,
    flat,
    public,
    read_scores,
    reference_text,
    score,
    write_scores,
)
from tongyeok.evaluation.speech import Trial, read_trials
from unit.evaluation.world import TEXTS

KEYS = [
    *("n", "asr_bleu", "asr_bleu_interval", "asr_bleu_resynthesised", "asr_bleu_reference", "chrf", "wer", "exact"),
    *("unit_bleu", "speaker_similarity", "asr", "signature"),
]


@pytest.fixture
def trials(built: Path) -> list[Trial]:
    """Korean to English."""
    return next(iter(read_trials(built / "bitext", read_utterances(built / "corpus")).values()))


@pytest.fixture
def outcomes(trials: list[Trial]) -> list[Outcome]:
    """One translation as good as its ceiling, one a little wrong, one empty; units as wanted."""
    texts = [normalise(text, lang="en") for text in TEXTS["en"]]
    heard = [
        Heard(translated=texts[0], resynthesised=texts[0], reference=texts[0]),
        Heard(translated=texts[1].replace("green", "red"), resynthesised=texts[1], reference=texts[1]),
        Heard(translated="", resynthesised=texts[2] + " late", reference=texts[2]),
    ]
    return [
        Outcome(
            trial=trial,
            units=np.array(trial.target_units.split()[1:], dtype=np.int32),
            speaker_similarity=0.5 + 0.1 * row,
            text=texts[row],
            heard=heard[row],
        )
        for row, trial in enumerate(trials)
    ]


def test_translation_beside_its_ceilings(outcomes: list[Outcome]) -> None:
    """Each kind of speech has its own scores over the same trials, and shares are of the ceilings."""
    found = score(outcomes, asr="ear", resamples=100, seed=1)
    assert found.asr is not None
    assert found.asr.reference.bleu.value == pytest.approx(100)
    assert found.asr.translated.bleu.value < found.asr.resynthesised.bleu.value < 100
    assert found.asr.of_resynthesised is not None
    assert found.asr.of_resynthesised.value == pytest.approx(
        100 * found.asr.translated.bleu.value / found.asr.resynthesised.bleu.value
    )
    words = sum(len(outcome.text.split()) for outcome in outcomes)
    assert found.asr.translated.wer == pytest.approx(100 * (1 + 5) / words)
    assert found.asr.translated.exact == pytest.approx(100 / 3)
    assert (found.n, found.groups) == (3, 3)
    assert found.unit_bleu == pytest.approx(100)
    assert found.speaker_similarity == pytest.approx(0.6)


def test_published_keys(outcomes: list[Outcome], tmp_path: Path) -> None:
    """`scores.json` has exactly the promised keys, in their order, and comes back as written."""
    write_scores(tmp_path, {"ko-en": score(outcomes, asr="ear", resamples=50, seed=1)})
    text = (tmp_path / "scores.json").read_text()
    assert list(json.loads(text)) == ["directions"]
    row = read_scores(tmp_path)["ko-en"]
    assert list(row) == KEYS
    assert row["asr"] == "ear"
    assert "tok:13a" in str(row["signature"])
    low, high = row["asr_bleu_interval"]  # type: ignore[misc]
    assert low <= row["asr_bleu"] <= high


def test_a_language_nobody_hears(outcomes: list[Outcome]) -> None:
    """Without a recogniser its figures are null, units and voices are still scored, and no metric is made up."""
    deaf = [replace(outcome, heard=None, text="") for outcome in outcomes]
    found = score(deaf, asr="ear", resamples=50, seed=1)
    row = public(found)
    assert [key for key, value in row.items() if value is None] == [*KEYS[1:8], "asr"]
    assert "tok:none" in str(row["signature"])
    assert list(flat({"ko-en": found})) == ["ko-en/speaker_similarity", "ko-en/unit_bleu"]


def test_share_of_nothing(outcomes: list[Outcome]) -> None:
    """Where the ceiling is 0 a share is not defined, and not reported."""
    silent = [replace(outcome, heard=Heard(translated="", resynthesised="", reference="")) for outcome in outcomes]
    found = score(silent, asr="ear", resamples=50, seed=1)
    assert found.asr is not None
    assert (found.asr.of_resynthesised, found.asr.ceiling) == (None, None)
    assert "ko-en/of_resynthesised" not in flat({"ko-en": found})
    assert flat({"ko-en": found})["ko-en/wer"] == 100


def test_metrics_are_flat(outcomes: list[Outcome]) -> None:
    """Metrics are floats by `direction/figure`."""
    found = flat({"ko-en": score(outcomes, asr="ear", resamples=50, seed=1)})
    assert set(found) == {
        f"ko-en/{name}"
        for name in (
            *("asr_bleu", "asr_bleu_reference", "asr_bleu_resynthesised", "ceiling", "chrf", "exact"),
            *("of_resynthesised", "speaker_similarity", "unit_bleu", "wer"),
        )
    }
    assert all(isinstance(value, float) for value in found.values())


def test_a_reference_without_text(trials: list[Trial]) -> None:
    """A reference without text cannot be scored by what is heard, and is named."""
    target = replace(trials[0].pair.target, text=" ?!")
    trial = replace(trials[0], pair=replace(trials[0].pair, target=target))
    with pytest.raises(EvaluationError, match="g0_en: a test reference in en without text"):
        reference_text(trial)


def test_no_scores_yet(tmp_path: Path) -> None:
    """Missing and broken files of scores are errors with a remedy."""
    with pytest.raises(EvaluationError, match="no scores yet; run `dvc repro evaluate`"):
        read_scores(tmp_path)
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(EvaluationError, match="not a file of scores"):
        read_scores(tmp_path)
