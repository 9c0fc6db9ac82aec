"""Audio at the project's one time base: 16 kHz mono, stored as FLAC in uncompressed zip packs.

A location is `path` (a whole file) or `pack.zip:offset:bytes`, the form that fairseq's manifests address.
"""

import io
import zipfile
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
import soxr
from jaxtyping import Float

from tongyeok.errors import CorpusError


def exact_div(dividend: int, divisor: int) -> int:
    """Integer division that must leave no remainder."""
    quotient, remainder = divmod(dividend, divisor)
    if remainder:
        raise ValueError(f"{dividend} is not a multiple of {divisor}")
    return quotient


SAMPLE_RATE = 16_000  # Hz
UNIT_HOP = 320  # samples per HuBERT frame and per unit
MFCC_HOP = 160  # samples per MFCC frame
UNIT_RATE = exact_div(SAMPLE_RATE, UNIT_HOP)  # 50 frames a second
MFCC_RATE = exact_div(SAMPLE_RATE, MFCC_HOP)  # 100 frames a second

Samples = Float[np.ndarray, " _samples"]


def decode(data: bytes, *, name: str) -> tuple[Float[np.ndarray, "samples channels"], int]:
    """Decode an audio file's bytes to float32 in [-1, 1] and its sample rate in Hz.

    Raises:
        CorpusError: the bytes are not audio that libsndfile reads.
    """
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise CorpusError(
            f"{name}: expected an audio file (wav, flac, ogg, mp3), "
            f"got {len(data)} bytes that do not decode ({error}); replace or remove the file"
        ) from None
    return samples, int(rate)


def resample(samples: Samples, *, rate: int) -> Samples:
    """Bring mono samples from `rate` Hz to 16 kHz (soxr, very high quality)."""
    if rate == SAMPLE_RATE:
        return samples
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE, quality="VHQ"), dtype=np.float32)


def encode_flac(samples: Samples) -> bytes:
    """16-bit FLAC bytes of 16 kHz mono samples in [-1, 1]."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def read_location(root: Path, location: str) -> Samples:
    """Samples of an utterance that the stage `corpus` packed.

    Args:
        root: folder that `location` is relative to.
        location: `pack.zip:offset:bytes`, or a path to an audio file.

    Returns:
        float32 samples in [-1, 1], 16 kHz, mono.

    Raises:
        CorpusError: the location does not exist, or holds audio of another form.
    """
    path, _, slice_ = location.partition(":")
    try:
        with (root / path).open("rb") as file:
            if slice_:
                offset, size = (int(number) for number in slice_.split(":"))
                file.seek(offset)
                data = file.read(size)
            else:
                data = file.read()
    except (OSError, ValueError) as error:
        raise CorpusError(f"{root / location}: cannot be read ({error}); rebuild the stage `corpus`") from None
    samples, rate = decode(data, name=location)
    if rate != SAMPLE_RATE or samples.shape[1] != 1:
        raise CorpusError(
            f"{location}: expected {SAMPLE_RATE} Hz mono, got {rate} Hz and {samples.shape[1]} channels; "
            "pass it through the stage `corpus`"
        )
    return np.ascontiguousarray(samples[:, 0])


class PackWriter:
    """Write utterances into one uncompressed zip of FLAC files, byte for byte repeatable."""

    def __init__(self, path: Path) -> None:
        """Open a new pack at `path`."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._zip = zipfile.ZipFile(path, "w", compression=zipfile.ZIP_STORED)

    def add(self, name: str, samples: Samples) -> str:
        """Append one utterance and return its location `pack.zip:offset:bytes`, relative to the pack's folder."""
        return self.add_flac(name, encode_flac(samples))

    def add_flac(self, name: str, data: bytes) -> str:
        """The same for an utterance that is encoded already."""
        entry = zipfile.ZipInfo(f"{name}.flac", date_time=(1980, 1, 1, 0, 0, 0))
        self._zip.writestr(entry, data)
        assert self._zip.fp is not None
        return f"{self._path.name}:{self._zip.fp.tell() - len(data)}:{len(data)}"

    def __enter__(self) -> "PackWriter":  # noqa: PYI034  beartype, in tests, cannot check `Self`
        """Enter the writing context."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the zip's directory and close it."""
        self._zip.close()
