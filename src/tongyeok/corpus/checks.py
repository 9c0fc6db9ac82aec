"""What makes a recording unusable, and how its audio becomes 16 kHz mono."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tongyeok.base.audio import SAMPLE_RATE, Samples, resample
from tongyeok.corpus.recording import Clip, Header, Phone, Recording
from tongyeok.errors import CorpusError

NAMED_FAULTS = 5  # an error message names this many recordings and counts the rest
LOUDEST = 2.0  # full scale is 1; lossy decoders overshoot it a little


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the stage accepts: one channel or a mix of several, and durations in seconds."""

    channels: Literal["mono", "mix"]
    min_seconds: float
    max_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A recording that cannot be used, and why, as one sentence with what to do."""

    utt: str
    where: str
    reason: str

    def __str__(self) -> str:
        """The fault with its place."""
        return f"utterance {self.utt} ({self.where}): {self.reason}"


def refuse(faults: Sequence[Fault]) -> None:
    """Raise one error for all faults: the first in full, a few more by name, the rest as a number.

    Raises:
        CorpusError: there is a fault.
    """
    if not faults:
        return
    first, *others = faults
    named = ", ".join(f"{fault.utt} ({fault.where})" for fault in others[: NAMED_FAULTS - 1])
    rest = len(others) - (NAMED_FAULTS - 1)
    more = f"\n{len(others)} more cannot be used: {named}" if others else ""
    raise CorpusError(f"{first}{more}{f' and {rest} others' if rest > 0 else ''}")


def check_table(recordings: Sequence[Recording], *, languages: Sequence[str]) -> list[Fault]:
    """Faults that need no audio: ids that are not usable or stand twice.

    Raises:
        CorpusError: a configured language has no utterance.
    """
    present = {recording.lang for recording in recordings}
    missing = [lang for lang in languages if lang not in present]
    if missing:
        raise CorpusError(
            f"corpus.languages: expected utterances in {', '.join(languages)}, got none in {', '.join(missing)}; "
            "add that language's data or remove it from corpus.languages"
        )
    faults, seen = [], dict[str, str]()
    for recording in recordings:
        if recording.utt in seen:
            reason = f"expected a unique id, but {seen[recording.utt]} has the same; rename or remove one"
            faults.append(Fault(utt=recording.utt, where=recording.where, reason=reason))
        elif not recording.utt or any(character.isspace() or character in "/:" for character in recording.utt):
            reason = "expected an id without spaces, `/` and `:`; rename it"
            faults.append(Fault(utt=repr(recording.utt), where=recording.where, reason=reason))
        seen.setdefault(recording.utt, recording.where)
    return faults


def check_header(header: Header, limits: Limits) -> None:
    """Check what the header says, before anything is decoded.

    Raises:
        CorpusError: no samples, too many channels, too short or too long.
    """
    if header.samples <= 0:
        raise CorpusError("expected audio, got a file that holds no samples; replace or remove it")
    if header.channels != 1 and limits.channels == "mono":
        raise CorpusError(
            f"expected one channel, got {header.channels} channels at {header.rate} Hz; convert it to mono, or set "
            "corpus.channels to `mix` to average the channels"
        )
    seconds = header.samples / header.rate
    if not limits.min_seconds <= seconds <= limits.max_seconds:
        raise CorpusError(
            f"expected {limits.min_seconds:g} to {limits.max_seconds:g} s of audio, got {seconds:.3g} s; "
            "cut or remove it, or change corpus.min_seconds and corpus.max_seconds"
        )


def prepare(clip: Clip, limits: Limits) -> tuple[Samples, tuple[Phone, ...]]:
    """Check decoded audio and bring it to 16 kHz mono.

    Returns:
        Samples in [-1, 1], and the phones where the source knows them.

    Raises:
        CorpusError: what `check_header` refuses; samples that are not finite, far beyond full scale, or all zero.
    """
    count, channels = clip.samples.shape
    check_header(Header(channels=channels, rate=clip.rate, samples=count), limits)
    wrong = count - int(np.isfinite(clip.samples).all(axis=1).sum())
    if wrong:
        raise CorpusError(
            f"expected finite samples, got NaN or infinity in {wrong} of {count}; replace or remove the file"
        )
    loudest = float(np.abs(clip.samples).max())
    if loudest > LOUDEST:
        raise CorpusError(
            f"expected samples in -1 to 1, got {loudest:g}; scale the floating-point file to full scale 1"
        )
    if loudest == 0:
        raise CorpusError("expected sound, got digital silence from beginning to end; replace or remove the file")
    mono = np.ascontiguousarray(clip.samples.mean(axis=1, dtype=np.float32))
    return np.clip(resample(mono, rate=clip.rate), -1, 1), clip.phones


def clean_text(text: str) -> str:
    """Text in Unicode NFC with single spaces; NFKD would split Hangul."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def seconds_of(samples: int) -> float:
    """Duration of 16 kHz audio."""
    return samples / SAMPLE_RATE
