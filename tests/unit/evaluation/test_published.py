"""What is published of the scores, for programs and for comparing runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tongyeok.errors import EvaluationError
from tongyeok.evaluation.published import flat, public, read_scores, write_scores
from tongyeok.evaluation.scores import Outcome, score

KEYS = [
    *("n", "asr_bleu", "asr_bleu_interval", "asr_bleu_resynthesised", "asr_bleu_reference", "chrf", "wer", "exact"),
    *("unit_bleu", "speaker_similarity", "asr", "signature"),
    *("chrf_plus_plus", "cer", "cer_resynthesised", "cer_reference", "cer_chance"),
    *("cer_no_spaces", "char_bleu", "bleu_13a"),
    *("asr_understands", "signatures"),
]


def test_published_keys(outcomes: list[Outcome], tmp_path: Path) -> None:
    """`scores.json` has exactly the promised keys, in their order, and comes back as written."""
    write_scores(tmp_path, {"ko-en": score(outcomes, asr="ear", resamples=50, seed=1)})
    text = (tmp_path / "scores.json").read_text()
    assert list(json.loads(text)) == ["directions"]
    row = read_scores(tmp_path)["ko-en"]
    assert list(row) == KEYS
    assert row["asr"] == "ear"
    assert "tok:13a" in str(row["signature"])
    assert row["signature"] == row["signatures"]["asr_bleu"]  # type: ignore[index]
    assert row["asr_understands"] is True
    assert (row["char_bleu"], row["bleu_13a"]) == (None, None)
    assert row["cer_reference"] == 0 < float(str(row["cer_resynthesised"])) < float(str(row["cer"]))
    low, high = row["asr_bleu_interval"]  # type: ignore[misc]
    assert low <= row["asr_bleu"] <= high


def test_korean_keys(korean: list[Outcome]) -> None:
    """Into Korean the figures beside the headline are published with it, and logged."""
    found = score(korean, asr="ear", resamples=50, seed=1)
    row = public(found)
    assert list(row) == KEYS
    assert found.asr is not None
    assert row["bleu_13a"] == round(found.asr.translated.bleu_by["13a"], 2)
    assert row["char_bleu"] == round(found.asr.translated.bleu_by["char"], 2)
    assert row["cer_no_spaces"] == round(found.asr.translated.cer_no_spaces, 2)
    assert "tok:ko-mecab" in str(row["signature"])
    assert {"en-ko/char_bleu", "en-ko/bleu_13a"} < set(flat({"en-ko": found}))


def test_a_language_nobody_hears(outcomes: list[Outcome]) -> None:
    """Without a recogniser its figures are null, units and voices are still scored, and no metric is made up."""
    deaf = [replace(outcome, heard=None, text="") for outcome in outcomes]
    found = score(deaf, asr="ear", resamples=50, seed=1)
    row = public(found)
    assert [key for key, value in row.items() if value is None] == [*KEYS[1:8], "asr", *KEYS[12:-1]]
    assert row["signatures"] == {"unit_bleu": row["signature"]}
    assert "tok:none" in str(row["signature"])
    assert list(flat({"ko-en": found})) == ["ko-en/speaker_similarity", "ko-en/unit_bleu"]


def test_metrics_are_flat(outcomes: list[Outcome]) -> None:
    """Metrics are floats by `direction/figure`."""
    found = flat({"ko-en": score(outcomes, asr="ear", resamples=50, seed=1)})
    assert set(found) == {
        f"ko-en/{name}"
        for name in (
            *("asr_bleu", "asr_bleu_reference", "asr_bleu_resynthesised", "ceiling", "chrf", "exact"),
            *("of_resynthesised", "speaker_similarity", "unit_bleu", "wer", "cer", "cer_reference", "chrf_plus_plus"),
        )
    }
    assert all(isinstance(value, float) for value in found.values())


def test_no_scores_yet(tmp_path: Path) -> None:
    """Missing and broken files of scores are errors with a remedy."""
    with pytest.raises(EvaluationError, match="no scores yet; run `dvc repro evaluate`"):
        read_scores(tmp_path)
    (tmp_path / "scores.json").write_text("[]")
    with pytest.raises(EvaluationError, match="not a file of scores"):
        read_scores(tmp_path)
