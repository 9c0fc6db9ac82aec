"""The recogniser: what it hears, and how clips are put before it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.audio import Samples, resample
from tongyeok.config import build
from tongyeok.corpus.espeak import Voice, speak
from tongyeok.errors import CheckpointError, ConfigError
from tongyeok.evaluation import asr
from tongyeok.evaluation.asr import AsrConfig, Whisper
from tongyeok.evaluation.normalise import normalise

VALUES = {
    "model": "whisper-base",
    "languages": ["en"],
    "recognizer": [],
    "compute_type": "int8",
    "beam": 1,
    "window_s": 8.0,
    "padding_s": 0.5,
    "max_tokens": 20,
}
SENTENCE = "The student wants to send the newspaper today."


def settings(**changes: object) -> AsrConfig:
    """Settings of a quick recogniser."""
    return build(AsrConfig, {**VALUES, **changes}, where="test")


@pytest.fixture(scope="module")
def clip() -> Samples:
    """A sentence by espeak-ng."""
    speech = speak(SENTENCE, Voice(name="en-us+f2", rate_wpm=140, pitch=50, pitch_range=50))
    return resample(speech.samples, rate=speech.rate)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whisper]:
    """The default model, assembled once for this module."""
    patch = pytest.MonkeyPatch()
    patch.setattr(asr, "CACHE", tmp_path_factory.mktemp("cache"))
    yield Whisper(settings(), device="cpu", threads=1)
    patch.undo()


def test_it_hears_and_remembers(whisper: Whisper, clip: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    """An espeak sentence is understood, silence without samples is nothing, and what was heard is not heard again."""
    texts = whisper.transcribe([lambda: clip, lambda: clip[:0]], lang="en", description="test")
    assert normalise(texts[0], lang="en") == normalise(SENTENCE, lang="en")
    assert texts[1] == ""
    monkeypatch.setattr(whisper, "_decode", None)
    assert whisper.transcribe([clip.copy], lang="en", description="test") == texts[:1]


def test_threads_change_nothing(
    whisper: Whisper, clip: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clips side by side are heard as one after the other, in their order."""
    clips = [clip, clip[: clip.size // 2]]
    one = whisper.transcribe([lambda part=part: part for part in clips], lang="en", description="test")
    folder = asr.locate("whisper-base")
    monkeypatch.setattr(asr, "locate", lambda _model: folder)
    monkeypatch.setattr(asr, "CACHE", tmp_path)
    both = Whisper(settings(), device="cpu", threads=2)
    assert both.transcribe([lambda part=part: part for part in clips], lang="en", description="test") == one


def test_it_hears_what_faster_whisper_hears(whisper: Whisper, clip: Samples) -> None:
    """At whisper's own window of 30 s the transcript is that of faster-whisper's `transcribe` with the same options."""
    noise = np.random.default_rng(6).standard_normal(clip.size).astype(np.float32)
    hard = 0.5 * clip + 0.05 * noise
    segments, _ = whisper._model.transcribe(
        np.pad(hard, 8000),
        language="en",
        beam_size=5,
        temperature=0,
        without_timestamps=True,
        condition_on_previous_text=False,
        compression_ratio_threshold=None,
        log_prob_threshold=None,
        no_speech_threshold=None,
        max_new_tokens=20,
    )
    wanted = " ".join(segment.text.strip() for segment in segments)
    whole = Whisper(settings(window_s=30.0, beam=5), device="cpu", threads=1)
    assert whole.transcribe([lambda: hard], lang="en", description="test") == [wanted]


def test_windows(whisper: Whisper) -> None:
    """A short clip fills one short window, a longer one takes whisper's 30 s, and one beyond that several."""
    seconds = {3: [(80, 800)], 7.5: [(80, 3000)], 29.5: [(80, 3000)] * 2}
    for length, shapes in seconds.items():
        windows = whisper._windows(np.ones(int(16000 * length), dtype=np.float32))
        assert [window.shape for window in windows] == shapes


def test_padding_is_silence_on_both_sides(whisper: Whisper) -> None:
    """Half a second of silence stands before and after a clip; the rest of the window is empty."""
    noise = np.random.default_rng(1).standard_normal(16000).astype(np.float32)
    (window,) = whisper._windows(noise)
    energy = window.mean(axis=0)
    assert energy[:45].max() < energy[60:140].min()
    assert energy[155:200].max() < energy[60:140].min()
    assert not window[:, 202:].any()


def test_identity_names_what_decides(whisper: Whisper) -> None:
    """The identity tells model, hash, search and versions."""
    assert whisper.identity == (
        "whisper-base sha256:d01c3014881c, greedy, int8, window 8 s, padding 0.5 s, faster-whisper 1.2.1"
    )


def test_an_unknown_language(whisper: Whisper) -> None:
    """A language that the model does not know is refused."""
    with pytest.raises(ConfigError, match=r"evaluate\.asr\.languages: whisper-base knows .*, not 'xx'"):
        whisper.transcribe([], lang="xx", description="test")


def test_an_unknown_type(tmp_path: Path) -> None:
    """A compute type that the device lacks is refused with those that it has."""
    (tmp_path / "model.bin").touch()
    with pytest.raises(ConfigError, match=r"compute_type: expected one of .*int8.* on cpu, got int3"):
        Whisper(settings(model=str(tmp_path), compute_type="int3"), device="cpu", threads=1)


def test_a_model_is_never_guessed() -> None:
    """A name that is no model is refused without asking a hub."""
    with pytest.raises(CheckpointError, match=r"expected whisper-base, a folder with model\.bin, .*large-v3"):
        asr.locate("no-such-model")


def test_an_unreachable_hub_is_named() -> None:
    """A hub model that cannot be had is an error with a remedy."""
    with pytest.raises(CheckpointError, match="nobody/nothing cannot be had from the hub"):
        asr.locate("nobody/nothing")
