"""Importer `prompts`: recorded telephone prompts of Asterisk's sound packages, fetched by `tools/fetch_prompts.sh`.

`<lang>/<name>.g722` is a prompt (`name` may hold folders), `<lang>.txt` the language's transcripts: lines `name: text`,
and comments that begin with `;`. The same name in two languages is the same sentence, hence its group. What is no
sentence is left out by rules that `RULES` declares, and counted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import Int16

from tongyeok.config import section
from tongyeok.corpus.recording import Clip, Header, LeftOut, Listing, Recording
from tongyeok.errors import CorpusError

SUFFIX = ".g722"
RATE = 16_000  # Hz; ITU-T G.722
SAMPLES_PER_BYTE = 2  # ITU-T G.722 at 64 kbit/s
FULL_SCALE = 1 << 15
SOUND = re.compile(r"\[[^]]*\]|\([^)]*\)|<[^>]*>")  # a transcript that tells a sound: `[tones]`
PCM = Int16[np.ndarray, "1 samples"]
FETCH = "run `tools/fetch_prompts.sh {data}`, or correct --data"

RULES = {  # why a prompt is left out; the first that applies counts
    "folder": "it lies in a folder of corpus.source.folders_left_out",
    "no_text": "it has no transcript, or an empty one",
    "sound": "its transcript stands in brackets: a tone or a noise, not words",
    "short": "it is shorter than corpus.source.min_seconds",
    "no_recording": "it has a transcript, but no recording",
}


@section
class PromptsConfig:
    """Which prompts are sentences, and who speaks them."""

    importer: Literal["prompts"]
    folders_left_out: tuple[str, ...]  # folders inside a language's: single letters, digits, silence
    min_seconds: float  # s; shorter prompts are left out
    speakers: dict[str, str]  # who recorded a language; one person may speak several

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.min_seconds < 0:
            raise ValueError(f"min_seconds: expected 0 or more, got {self.min_seconds}; usual is 1")
        for folder in self.folders_left_out:
            if not folder or "/" in folder:
                raise ValueError(
                    f"folders_left_out: expected names of folders without `/`, got {folder!r}; correct the list"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptAudio:
    """One headerless G.722 file of 64 kbit/s: 16 kHz mono."""

    path: Path

    def probe(self) -> Header:
        """What the file's size says; there is no header.

        Raises:
            CorpusError: the file is empty.
        """
        size = self.path.stat().st_size
        if size == 0:
            raise CorpusError("expected G.722 audio, got an empty file (0 bytes); fetch the prompts again")
        return Header(channels=1, rate=RATE, samples=size * SAMPLES_PER_BYTE)

    def load(self) -> Clip:
        """Decode with FFmpeg, whose G.722 decoder works in whole numbers and repeats bit for bit.

        Raises:
            CorpusError: FFmpeg does not decode the file, or not all of it.
        """
        expected = self.probe().samples
        try:
            with av.open(str(self.path), format="g722") as container:
                frames: list[PCM] = [frame.to_ndarray() for frame in container.decode(audio=0)]
        except FFmpegError as error:
            raise CorpusError(
                f"expected G.722 audio, got what FFmpeg cannot decode ({error}); fetch the prompts again"
            ) from None
        pcm = np.concatenate([np.zeros((1, 0), dtype=np.int16), *frames], axis=1)[0]
        if pcm.size != expected:
            raise CorpusError(f"expected {expected} samples of G.722, got {pcm.size}; fetch the prompts again")
        return Clip(samples=(pcm.astype(np.float32) / FULL_SCALE)[:, np.newaxis], rate=RATE)


def listing(cfg: PromptsConfig, *, data: Path, languages: Sequence[str]) -> Listing:
    """List the prompts of `languages` by name, and what the rules leave out.

    Raises:
        CorpusError: a language's folder or transcripts are missing or malformed.
    """
    recordings: list[Recording] = []
    left_out: list[LeftOut] = []
    for lang in languages:
        folder, table = data / lang, data / f"{lang}.txt"
        if not folder.is_dir():
            raise CorpusError(f"{folder}: expected a folder of {SUFFIX} prompts, got none; {FETCH.format(data=data)}")
        texts = read_transcripts(table, ignored=cfg.folders_left_out)
        paths = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob(f"*{SUFFIX}")}
        for name in sorted(paths.keys() | texts.keys()):
            audio = PromptAudio(path=paths[name]) if name in paths else None
            rule = broken_rule(cfg, name, audio=audio, texts=texts)
            if rule is not None:
                left_out.append(LeftOut(lang=lang, name=name, rule=rule, why=RULES[rule]))
            elif audio is not None:
                recordings.append(
                    Recording(
                        utt=f"{name.replace('/', '.')}_{lang}",
                        group=name,
                        lang=lang,
                        split="",
                        speaker=cfg.speakers.get(lang, ""),
                        text=texts[name],
                        where=str(audio.path),
                        audio=audio,
                    )
                )
    return Listing(recordings=recordings, left_out=left_out)


def broken_rule(cfg: PromptsConfig, name: str, *, audio: PromptAudio | None, texts: Mapping[str, str]) -> str | None:
    """The first of `RULES` by which a prompt is left out; None for a prompt that is taken.

    Args:
        cfg: the rules' settings.
        name: of the prompt, with its folders.
        audio: its recording, if there is one; an empty file breaks no rule here, the stage refuses it.
        texts: transcripts by name.
    """
    text = texts.get(name, "")
    if name.partition("/")[0] in cfg.folders_left_out and "/" in name:
        return "folder"
    if audio is None:
        return "no_recording"
    if not text:
        return "no_text"
    if SOUND.fullmatch(text):
        return "sound"
    size = audio.path.stat().st_size
    return "short" if 0 < size * SAMPLES_PER_BYTE < cfg.min_seconds * RATE else None


def read_transcripts(path: Path, *, ignored: Sequence[str]) -> dict[str, str]:
    """Texts by prompt name; of a prompt in an `ignored` folder the last where several stand.

    Raises:
        CorpusError: the file is missing, not UTF-8, holds a line without `:`, or two texts for one prompt.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: expected transcripts, got no such file; {FETCH.format(data=path.parent)}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: expected UTF-8, got byte {error.start} that is not; convert the file") from None
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        name, colon, text = (part.strip() for part in line.partition(":"))
        if not colon or not name:
            raise CorpusError(f"{path}:{number}: expected `name: text`, got {line!r}; correct the line")
        if texts.get(name, text) != text and not ("/" in name and name.partition("/")[0] in ignored):
            raise CorpusError(
                f"{path}:{number}: expected one text for {name!r}, got {text!r} after {texts[name]!r}; remove one"
            )
        texts[name] = text
    return texts
