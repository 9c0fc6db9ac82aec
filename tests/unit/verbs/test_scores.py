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
}
UNHEARD = {**dict.fromkeys(HEARD), "n": 64, "unit_bleu": 20.0, "speaker_similarity": 0.7, "signature": "tok:none"}
SCORES = {"directions": {"ko-en": HEARD, "en-ko": UNHEARD}}


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
    assert " ".join(line.strip() for line in lines[4:]) == f"heard by {HEARD['asr']}; {HEARD['signature']}"
    headings = [lines[0].rfind(word) + len(word) for word in ("chrF", "WER", "voice")]
    ends = [lines[1].find(value) + len(value) for value in ("61.3", "142.2", "0.81")]
    assert headings == ends


def test_no_scores_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before `evaluate` ran there is one clear error."""
    assert main(["scores", "--evaluate", str(tmp_path)]) == 2
    assert "no scores yet; run `dvc repro evaluate`" in capsys.readouterr().err
