"""Packs of spoken clips: what is to be said in whose voice, cut into shards, and what came of it, as bytes."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.units import Units
from tongyeok.base.utterances import Utterance
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.speech import RESYNTHESISED, TRANSLATED, Trial
from tongyeok.unit2unit.pairs import Direction
from tongyeok.unit2unit.tags import tag_of

SHARD = 64  # clips: about 3 minutes of speech


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Clips that a shard makes, in one language, each in the voice of an utterance.

    Attributes:
        title: what to call the shard.
        lang: language to speak.
        tag: the language's tag, for tagged sentences to be translated; None for units that are spoken as they are.
        texts: a sentence or a sequence of units, for each clip.
        voices: where the audio of each clip's speaker is.
    """

    title: str
    lang: str
    tag: str | None
    texts: tuple[str, ...]
    voices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """The clips of one pack: of a direction's translations, or of a language's references.

    `keys` are the utterances that stand for them, `voices` where their audio is; `texts` and `tag` as in `Lines`.
    """

    name: str
    kind: str
    direction: str
    lang: str
    tag: str | None
    keys: tuple[str, ...]
    voices: tuple[str, ...]
    texts: tuple[str, ...]

    def parts(self) -> dict[str, Lines]:
        """What to compute, by the name of the shard's file."""
        verb = "speak" if self.kind == TRANSLATED else "resynthesise"
        return {
            name: Lines(
                title=f"{verb} {self.direction}",
                lang=self.lang,
                tag=self.tag,
                texts=self.texts[first : first + SHARD],
                voices=self.voices[first : first + SHARD],
            )
            for name, first in self._shards()
        }

    def utts(self) -> dict[str, tuple[str, ...]]:
        """The utterances of each shard."""
        return {name: self.keys[first : first + SHARD] for name, first in self._shards()}

    def _shards(self) -> list[tuple[str, int]]:
        starts = range(0, len(self.keys), SHARD)
        return [(f"{self.name}-{number:06d}.npz", first) for number, first in enumerate(starts)]


def to_translate(direction: Direction, rows: Sequence[Trial]) -> Pack:
    """Every trial of a direction, to be spoken in its source speaker's voice."""
    return Pack(
        name=str(direction),
        kind=TRANSLATED,
        direction=str(direction),
        lang=direction.target,
        tag=tag_of(rows[0].target_units),
        keys=tuple(row.pair.source.utt for row in rows),
        voices=tuple(row.pair.source.audio for row in rows),
        texts=tuple(row.source_units for row in rows),
    )


def to_resynthesise(lang: str, references: Sequence[Utterance], units: Mapping[str, Units]) -> Pack:
    """Every reference in a language, to be spoken from its own units, durations and voice.

    Raises:
        EvaluationError: a reference has no units.
    """
    own = [reference for reference in references if reference.lang == lang]
    for reference in own:
        if reference.utt not in units:
            raise EvaluationError(f"{reference.utt}: a test reference without units; rebuild `units`")
    return Pack(
        name=f"{RESYNTHESISED}-{lang}",
        kind=RESYNTHESISED,
        direction=lang,
        lang=lang,
        tag=None,
        keys=tuple(reference.utt for reference in own),
        voices=tuple(reference.audio for reference in own),
        texts=tuple(" ".join(map(str, units[reference.utt].tolist())) for reference in own),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """What was said: units, and FLAC of so many samples; no bytes where there was nothing to say."""

    units: Units
    flac: bytes
    samples: int


def pack_clips(clips: Sequence[Clip]) -> bytes:
    """The clips of a shard as arrays, which load without running code."""
    file = io.BytesIO()
    np.savez(
        file,
        units=np.concatenate([np.zeros(0, dtype=np.int32), *(clip.units.astype(np.int32) for clip in clips)]),
        counts=np.array([clip.units.size for clip in clips], dtype=np.int64),
        flac=np.frombuffer(b"".join(clip.flac for clip in clips), dtype=np.uint8),
        sizes=np.array([len(clip.flac) for clip in clips], dtype=np.int64),
        samples=np.array([clip.samples for clip in clips], dtype=np.int64),
    )
    return file.getvalue()


def read_clips(path: Path) -> list[Clip]:
    """The clips of a shard's file, in order."""
    with np.load(path, allow_pickle=False) as arrays:
        units = np.split(arrays["units"], np.cumsum(arrays["counts"])[:-1])
        flac = np.split(arrays["flac"], np.cumsum(arrays["sizes"])[:-1])
        return [
            Clip(units=own, flac=data.tobytes(), samples=int(samples))
            for own, data, samples in zip(units, flac, arrays["samples"], strict=True)
        ]
