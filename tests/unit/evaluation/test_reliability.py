"""Corrupted speech, and what a recogniser's errors on it tell."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tongyeok.evaluation.asr import Load
from tongyeok.evaluation.corpus_asr import CorpusAsr
from tongyeok.evaluation.reliability import SpeechErrors, errors_by_speech, mask_middle, reverse_middle, write_errors
from tongyeok.evaluation.scores import Heard

CLIP = np.linspace(-0.5, 0.5, 10, dtype=np.float32)
TEXT = "하나 둘 셋"


class Listener(CorpusAsr):
    """Hears the text in a clip that is as it should be, and otherwise nothing."""

    def __init__(self) -> None:
        self.clips: list[np.ndarray] = []

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """One text a clip."""
        assert lang == "ko"
        assert description.startswith("hear en-ko ")
        self.clips += [load() for load in clips]
        return [TEXT if np.array_equal(load(), CLIP) else "" for load in clips]


def test_only_the_middle_third_is_corrupted() -> None:
    """The ends stay as they are; noise is as loud as the recording and repeats."""
    turned, masked = reverse_middle(CLIP), mask_middle(CLIP, seed=1)
    assert turned.tolist() == [*CLIP[:3], *CLIP[3:7][::-1], *CLIP[7:]]
    assert masked[[0, 1, 2, 7, 8, 9]].tolist() == CLIP[[0, 1, 2, 7, 8, 9]].tolist()
    assert not np.array_equal(masked[3:7], CLIP[3:7])
    assert np.array_equal(masked, mask_middle(CLIP, seed=1))
    assert not np.array_equal(masked, mask_middle(CLIP, seed=2))
    long = 0.1 * np.sin(np.arange(30_000, dtype=np.float32))
    assert np.isclose(np.std(mask_middle(long, seed=1)[10_000:20_000]), np.std(long), rtol=0.05)
    assert mask_middle(CLIP[:0], seed=1).size == reverse_middle(CLIP[:0]).size == 0


def test_errors_by_kind_of_speech(tmp_path: Path) -> None:
    """All kinds are scored against the same texts, the corrupted ones newly heard."""
    heard = [Heard(reference="하나 둘 셋", resynthesised="하나 둘 넷", translated="하나 셋")] * 2
    listener = Listener()
    found = errors_by_speech(listener, [lambda: CLIP] * 2, heard, [TEXT] * 2, lang="ko", name="en-ko", seed=1)
    assert found == [
        SpeechErrors(speech="reference", cer=0.0, wer=0.0, exact=100.0),
        SpeechErrors(speech="reference, a third backwards", cer=100.0, wer=100.0, exact=0.0),
        SpeechErrors(speech="reference, a third noise", cer=100.0, wer=100.0, exact=0.0),
        SpeechErrors(speech="resynthesised", cer=100 / 6, wer=100 / 3, exact=0.0),
        SpeechErrors(speech="translated", cer=200 / 6, wer=100 / 3, exact=0.0),
    ]
    assert len(listener.clips) == 4
    write_errors(tmp_path, {"en-ko": found})
    rows = json.loads((tmp_path / "recognizer_errors.json").read_text())["en-ko"]
    assert rows[3] == {"speech": "resynthesised", "cer": 16.67, "wer": 33.33, "exact": 0.0}
