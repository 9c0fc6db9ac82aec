"""What an importer yields: recordings, whose audio is probed and loaded only when the stage `corpus` asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True, slots=True)
class Phone:
    """A phone and the 16 kHz sample at which it ends."""

    name: str
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """Decoded audio: samples in [-1, 1] by channel, their rate in Hz, and the phones where the source knows them."""

    samples: Float[np.ndarray, "samples channels"]
    rate: int
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What an audio file says of itself before it is decoded: channels, rate in Hz, samples per channel."""

    channels: int
    rate: int
    samples: int


@runtime_checkable
class AudioSource(Protocol):
    """Audio that can be asked for cheaply and then loaded; it travels to worker processes."""

    def probe(self) -> Header | None:
        """Header of the audio, or None where there is no file to look into.

        Raises:
            CorpusError: the file is empty or not audio.
        """
        ...

    def load(self) -> Clip:
        """Decode or synthesise the audio.

        Raises:
            CorpusError: the audio cannot be had.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One utterance as its corpus has it.

    `utt`, `group`, `lang`, `split`, `speaker` and `text` are as in `base.utterances.Utterance`; `where` tells a person
    where the recording stands (a file, or file and line).
    """

    utt: str
    group: str
    lang: str
    split: str
    speaker: str
    text: str
    where: str
    audio: AudioSource


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """What an importer leaves out on purpose: language, its name in the corpus, the rule by name and in words."""

    lang: str
    name: str
    rule: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What a corpus holds: the recordings to import, and what the importer's rules leave out."""

    recordings: Sequence[Recording]
    left_out: Sequence[LeftOut] = ()
