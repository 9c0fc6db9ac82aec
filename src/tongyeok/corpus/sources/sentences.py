"""Importer `sentences`: a table of parallel sentences, spoken by espeak-ng.

The table has the columns `group`, `split` and one per language. People take turns within each split, one or several to
a group; each speaks the group's sentence in every language.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tongyeok.base.audio import SAMPLE_RATE, resample
from tongyeok.config import section
from tongyeok.corpus.espeak import Speech, Voice, speak
from tongyeok.corpus.recording import Clip, Header, Phone, Recording
from tongyeok.errors import CorpusError

FIXED_COLUMNS = ("group", "split")
SILENCE = "sil"  # name of the phone before, between and after words
AUDIBLE = 0.01  # of the peak: quieter edges are trimmed
STRESS = str.maketrans("", "", "ˈˌ")


@section
class Speaker:
    """A person: the espeak-ng variant that makes the timbre, and how high and how lively the voice is."""

    name: str
    variant: str  # file name in espeak-ng-data/voices/!v
    pitch: int  # 0 to 100, espeak-ng's usual is 50
    pitch_range: int  # 0 to 100, espeak-ng's usual is 50


@section
class LanguageVoice:
    """A language's espeak-ng voice and its speed."""

    name: str  # e.g. en-us; a speaker's variant is appended
    rate_wpm: int  # nominal words a minute; espeak-ng's usual is 175, slower helps a recogniser

    def __post_init__(self) -> None:
        """Check the rules."""
        if not 80 <= self.rate_wpm <= 450:  # noqa: PLR2004  espeakRATE_MINIMUM and _MAXIMUM
            raise ValueError(f"rate_wpm: expected 80 to 450 words a minute, got {self.rate_wpm}; usual is 140")


@section
class SentencesConfig:
    """Which sentences, and how they are spoken."""

    importer: Literal["sentences"]
    table: str  # file inside the data folder
    max_groups: dict[str, int] | None  # groups of each split, in the table's order; null takes all
    voices: dict[str, LanguageVoice]
    speakers: tuple[Speaker, ...]
    readers: dict[str, int]  # how many of them read a group of each split; one where a split is not named
    silence_ms: int  # before and after the speech, the same for every clip
    peak: float  # largest absolute sample, full scale = 1

    def __post_init__(self) -> None:
        """Check the rules."""
        if not self.speakers:
            raise ValueError("speakers: expected at least one, got none; add a speaker")
        names = [speaker.name for speaker in self.speakers]
        if len(set(names)) < len(names):
            raise ValueError(f"speakers: expected different names, got {', '.join(names)}; rename one")
        for split, number in self.readers.items():
            if not 1 <= number <= len(self.speakers):
                raise ValueError(
                    f"readers: expected 1 to {len(self.speakers)}, the number of speakers, got {split}: {number}"
                )
        if self.silence_ms < 0:
            raise ValueError(f"silence_ms: expected 0 or more, got {self.silence_ms}; usual is 100")
        if not 0 < self.peak <= 1:
            raise ValueError(f"peak: expected above 0 and up to 1, got {self.peak}; usual is 0.7")


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenText:
    """A text that a synthetic voice says, with trimmed and padded edges."""

    text: str
    voice: Voice
    silence_ms: int
    peak: float

    def probe(self) -> Header | None:
        """There is no file to look into."""
        return None

    def load(self) -> Clip:
        """Synthesise at 16 kHz."""
        return frame_speech(speak(self.text, self.voice), silence_ms=self.silence_ms, peak=self.peak)


def frame_speech(speech: Speech, *, silence_ms: int, peak: float) -> Clip:
    """Bring speech to 16 kHz, trim its quiet edges, set its peak and put the same silence on both sides.

    Args:
        speech: what the synthesiser said.
        silence_ms: digital silence on each side.
        peak: largest absolute sample of the result.

    Returns:
        A mono 16 kHz clip; its phones begin and end with `sil`, and the last one ends at the last sample.
    """
    samples = resample(speech.samples, rate=speech.rate)
    loudest = float(np.abs(samples).max())
    audible = np.flatnonzero(np.abs(samples) > AUDIBLE * loudest)
    first, stop = int(audible[0]), int(audible[-1]) + 1
    silence = silence_ms * SAMPLE_RATE // 1000
    framed = np.pad(samples[first:stop] * (peak / loudest), silence)
    begins = [round(begin * SAMPLE_RATE / speech.rate) for _, begin in speech.phones]
    spoken = [
        Phone(name=name.translate(STRESS) or SILENCE, end=min(max(end - first, 0), stop - first) + silence)
        for (name, _), end in zip(speech.phones, [*begins[1:], len(samples)], strict=True)
    ]
    edges = Phone(name=SILENCE, end=silence), Phone(name=SILENCE, end=len(framed))
    phones = _merge([edges[0], *spoken, edges[1]])
    return Clip(samples=framed[:, np.newaxis].astype(np.float32), rate=SAMPLE_RATE, phones=phones)


def _merge(phones: Sequence[Phone]) -> tuple[Phone, ...]:
    """Drop phones that last no time and join neighbouring silences."""
    merged: list[Phone] = []
    for phone in phones:
        if merged and phone.name == SILENCE == merged[-1].name:
            merged.pop()
        if phone.end > (merged[-1].end if merged else 0):
            merged.append(phone)
    return tuple(merged)


def recordings(cfg: SentencesConfig, *, data: Path, languages: Sequence[str]) -> list[Recording]:
    """Read the table: one recording for each group and each of `languages` that has a sentence.

    Raises:
        CorpusError: the table is missing or malformed, or a language has no voice.
    """
    silent = [lang for lang in languages if lang not in cfg.voices]
    if silent:
        raise CorpusError(
            f"corpus.source.voices: no espeak-ng voice for {', '.join(silent)}; add one, or correct corpus.languages"
        )
    path = data / cfg.table
    if not path.is_file():
        raise CorpusError(f"{path}: no such table of sentences; correct --data or corpus.source.table")
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    columns = header.split("\t")
    if tuple(columns[:2]) != FIXED_COLUMNS:
        raise CorpusError(
            f"{path}:1: expected the columns group, split and languages, got {header!r}; correct the header"
        )
    found = []
    turns: Counter[str] = Counter()
    for number, line in enumerate(lines, start=2):
        values = line.split("\t")
        if len(values) != len(columns):
            raise CorpusError(f"{path}:{number}: expected {len(columns)} columns, got {len(values)}; correct the line")
        group, split, *_ = values
        turn = turns[split]
        turns[split] += 1
        if cfg.max_groups is not None and turn >= cfg.max_groups.get(split, 0):
            continue
        texts = dict(zip(columns, values, strict=True))
        for reading in range(cfg.readers.get(split, 1)):
            speaker = cfg.speakers[(turn + reading) % len(cfg.speakers)]
            found += [
                Recording(
                    utt=f"{group}_{lang}" if reading == 0 else f"{group}_{lang}_{reading + 1}",
                    group=group,
                    lang=lang,
                    split=split,
                    speaker=speaker.name,
                    text=texts[lang],
                    where=f"{path}:{number}",
                    audio=_spoken(cfg, texts[lang], lang=lang, speaker=speaker),
                )
                for lang in languages
                if texts.get(lang)
            ]
    return found


def _spoken(cfg: SentencesConfig, text: str, *, lang: str, speaker: Speaker) -> SpokenText:
    voice = Voice(
        name=f"{cfg.voices[lang].name}+{speaker.variant}",
        rate_wpm=cfg.voices[lang].rate_wpm,
        pitch=speaker.pitch,
        pitch_range=speaker.pitch_range,
    )
    return SpokenText(text=text, voice=voice, silence_ms=cfg.silence_ms, peak=cfg.peak)
