"""The verb `scores`."""

import json
from pathlib import Path

import pytest

from tongyeok.__main__ import main
from tongyeok.base.files import write_json

HEARD = {
    "n": 1064,
    "asr_bleu": 42.49,
    "asr_bleu_interval": [38.0, 47.26],
    "asr_bleu_resynthesised": 60.5,
    "asr_bleu_reference": 100.0,
    "chrf": 61.3,
    "wer": 142.2,
    "exact": 11.7,
    "unit_bleu": 35.1,
    "speaker_similarity": 0.8123,
    "asr": "whisper-base sha256:d01c3014881c, beam 5",
    "signature": "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0",
    "chrf_plus_plus": 58.2,
    "cer": 31.4,
    "cer_resynthesised": 12.0,
    "cer_reference": 3.2,
    "cer_chance": 75.0,
    "cer_no_spaces": 30.1,
    "char_bleu": None,
    "bleu_13a": None,
    "asr_understands": True,
    "signatures": {},
}
GUESSED = {
    **HEARD,
    "char_bleu": 9.1,
    "bleu_13a": 0.4,
    "cer_reference": 93.5,
    "asr_understands": False,
    "signature": "nrefs:1|case:lc|eff:no|tok:ko-mecab-0.996/ko-0.9.2-KO|smooth:exp|version:2.6.0",
}
UNHEARD = {**dict.fromkeys(HEARD), "n": 64, "unit_bleu": 20.0, "speaker_similarity": 0.7, "signature": "tok:none"}
SCORES = {"directions": {"ko-en": HEARD, "en-ko": UNHEARD, "es-en": HEARD, "es-ko": GUESSED}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Outputs of `evaluate`."""
    write_json(tmp_path / "scores.json", SCORES)
    return tmp_path


def test_json_is_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json it prints what `evaluate` wrote."""
    assert main(["scores", "--json", "--evaluate", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out) == SCORES


def test_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table fits 100 columns, gives the share of the ceiling, and dashes where nobody listened."""
    assert main(["scores", "--evaluate", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[1].split() == [
        *("ko-en", "1064", "42.5", "38.0", "to", "47.3", "60.5", "70", "%", "100.0", "61.3", "142.2", "11.7", "35.1"),
        "0.81",
    ]
    assert lines[2].split() == ["en-ko", "64", *"-" * 8, "20.0", "0.70"]
    headings = [lines[0].rfind(word) + len(word) for word in ("chrF", "WER", "voice")]
    ends = [lines[1].find(value) + len(value) for value in ("61.3", "142.2", "0.81")]
    assert headings == ends
    assert lines[4].split()[:9] == ["es-ko", "*", "1064", "42.5", "38.0", "to", "47.3", "60.5", "-"]
    assert lines[7].split() == ["ko-en", "31.4", "12.0", "3.2", "75.0", "30.1", "58.2", "-", "-"]
    assert [line.split()[0] for line in lines[6:10]] == ["direction", "ko-en", "es-en", "es-ko"]
    assert lines[9].split() == ["es-ko", "*", "31.4", "12.0", "93.5", "75.0", "30.1", "58.2", "9.1", "0.4"]
    notes = " ".join(line.strip() for line in lines[11:])
    assert notes == (
        "* this ASR does not understand the original speech: the score judges the ASR, not the translation "
        f"ko-en, es-en: heard by {HEARD['asr']}; {HEARD['signature']} "
        f"es-ko: heard by {HEARD['asr']}; {GUESSED['signature']}"
    )


def test_older_scores_have_their_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of scores from before figures by characters has the one table."""
    older = {key: HEARD[key] for key in list(HEARD)[:12]}
    write_json(tmp_path / "scores.json", {"directions": {"ko-en": older}})
    assert main(["scores", "--evaluate", str(tmp_path)]) == 0
    assert "CER" not in capsys.readouterr().out


def test_zero_shot_directions_have_a_ring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A direction that was not trained is marked, and the mark explained below the table."""
    unseen = {"en-ko": {**UNHEARD, "zero_shot": True}, "es-ko": {**GUESSED, "zero_shot": True}}
    write_json(tmp_path / "scores.json", {"directions": {"ko-en": HEARD, **unseen}})
    assert main(["scores", "--evaluate", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9].rstrip() for line in lines[1:4]] == ["ko-en", "en-ko °", "es-ko *°"]
    assert "° zero-shot: the translator was trained on no pair of this direction" in lines


def test_no_scores_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before `evaluate` ran there is one clear error."""
    assert main(["scores", "--evaluate", str(tmp_path)]) == 2
    assert "no scores yet; run `dvc repro evaluate`" in capsys.readouterr().err
