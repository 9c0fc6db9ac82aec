"""The corpus's own recogniser as a judge."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tongyeok.errors import CheckpointError
from tongyeok.evaluation import asr, corpus_asr
from tongyeok.evaluation.corpus_asr import CorpusAsr


class Model:
    """In place of the door's recogniser: spells how long a clip is, and counts the clips it was given."""

    heard = 0

    def __init__(self, checkpoint: Path, *, device: str) -> None:
        assert checkpoint.is_file()
        assert device == "cpu"

    def hear(self, clips: Sequence[np.ndarray]) -> list[list[str]]:
        """Digits of the clip's length as letters."""
        type(self).heard += len(clips)
        return [[*str(clip.size), "|"] for clip in clips]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs of the stage `recognizer`."""
    monkeypatch.setattr(corpus_asr, "Recognizer", Model)
    monkeypatch.setattr(Model, "heard", 0)
    monkeypatch.setattr(asr, "CACHE", tmp_path / "cache")
    made = tmp_path / "recognizer"
    made.mkdir()
    (made / "checkpoint.pt").write_bytes(b"weights")
    (made / "train.groups").write_text("g1\ng2\n")
    (made / "metrics.json").write_text(json.dumps({"cer/ko": 4.26, "wer/ko": 9.0, "cer/en": 3.0, "valid_loss": 1.0}))
    return made


def _clips(*sizes: int) -> list[Any]:
    return [lambda size=size: np.full(size, 0.1, np.float32) for size in sizes]


def test_what_was_heard_once_is_not_heard_again(folder: Path) -> None:
    """Transcripts are kept by audio and by model: equal audio is heard once, another model hears anew."""
    recogniser = CorpusAsr(folder, languages=["ko"], device="cpu")
    sizes = [3, 1, 3, *range(20, 40)]
    expected = [str(size) for size in sizes]
    assert recogniser.transcribe(_clips(*sizes), lang="ko", description="hear") == expected
    assert Model.heard == len(set(sizes))
    again = CorpusAsr(folder, languages=["ko"], device="cpu")
    assert again.transcribe(_clips(*sizes), lang="ko", description="hear") == expected
    assert Model.heard == len(set(sizes))
    (folder / "checkpoint.pt").write_bytes(b"other weights")
    other = CorpusAsr(folder, languages=["ko"], device="cpu")
    assert other.transcribe(_clips(3), lang="ko", description="hear") == ["3"]
    assert Model.heard == len(set(sizes)) + 1
    assert other.identity != recogniser.identity


def test_it_says_what_it_is(folder: Path) -> None:
    """Its name has its hash, that it was trained on this corpus, and its errors on validation data."""
    identity = CorpusAsr(folder, languages=["ko", "ko"], device="cpu").identity
    assert identity.startswith("recognizer sha256:9a12")
    assert "trained on this corpus's training sentences" in identity
    assert identity.endswith("CER on valid ko 4.3 %")


def test_it_judges_only_what_it_was_trained(folder: Path, tmp_path: Path) -> None:
    """Another language, and a folder without a recogniser, are errors."""
    with pytest.raises(CheckpointError, match=r"was trained on ko, en, not 'fr'; add it to recognizer\.languages"):
        CorpusAsr(folder, languages=["ko", "fr"], device="cpu")
    with pytest.raises(CheckpointError, match="no outputs of the stage `recognizer`"):
        CorpusAsr(tmp_path / "nowhere", languages=["ko"], device="cpu")
