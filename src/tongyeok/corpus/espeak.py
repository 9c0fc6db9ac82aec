"""Text to speech with espeak-ng, whose library and voices come from pip (`espeakng-loader`), byte for byte repeatable.

espeak-ng keeps state between utterances (a noise generator seeded from the clock, a flutter phase) that even
`espeak_Terminate` leaves behind, so each utterance is spoken by a freshly loaded library with a fixed seed: its bytes
depend on text, voice and settings alone.
"""

import _ctypes
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import espeakng_loader
import numpy as np
from jaxtyping import Float

from tongyeok.errors import CorpusError

OUTPUT_SYNCHRONOUS = 2  # speak_lib.h: AUDIO_OUTPUT_SYNCHRONOUS
INITIALIZE_PHONEME_EVENTS, INITIALIZE_PHONEME_IPA = 1, 2
CHARS_UTF8 = 1
PARAMETER_RATE, PARAMETER_PITCH, PARAMETER_RANGE = 1, 3, 4
EVENT_LIST_TERMINATED, EVENT_PHONEME = 0, 7
NOISE_SEED = 1
FULL_SCALE = 1 << 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """How to speak: espeak-ng voice such as `en-us+f2`, words a minute, pitch and its range (0 to 100, usual 50)."""

    name: str
    rate_wpm: int
    pitch: int
    pitch_range: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """Mono samples in [-1, 1] at `rate` Hz; `phones` are IPA names with the sample at which each begins."""

    samples: Float[np.ndarray, " samples"]
    rate: int
    phones: tuple[tuple[str, int], ...]


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def speak(text: str, voice: Voice) -> Speech:
    """Speak `text`.

    Raises:
        CorpusError: espeak-ng cannot start, does not know the voice, or says nothing.
    """
    chunks: list[Float[np.ndarray, " samples"]] = []
    phones: list[tuple[str, int]] = []

    def listen(wave: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if count > 0:
            pcm = np.ctypeslib.as_array(wave, (count,))
            chunks.append(pcm.astype(np.float32) / FULL_SCALE)
        index = 0
        while (event := events[index]).type != EVENT_LIST_TERMINATED:
            if event.type == EVENT_PHONEME:
                phones.append((event.id.decode(errors="ignore"), event.sample))
            index += 1
        return 0

    on_audio = _Callback(listen)
    with _fresh_library() as library:
        rate = library.espeak_Initialize(
            OUTPUT_SYNCHRONOUS,
            0,
            espeakng_loader.get_data_path().encode(),
            INITIALIZE_PHONEME_EVENTS | INITIALIZE_PHONEME_IPA,
        )
        if rate <= 0:
            raise CorpusError(f"espeak-ng does not start (code {rate}); reinstall the package espeakng-loader")
        library.espeak_ng_SetRandSeed(ctypes.c_long(NOISE_SEED))
        library.espeak_SetSynthCallback(on_audio)
        if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise CorpusError(f"espeak-ng has no voice {voice.name!r}; correct the language or the speaker's variant")
        for parameter, value in (
            (PARAMETER_RATE, voice.rate_wpm),
            (PARAMETER_PITCH, voice.pitch),
            (PARAMETER_RANGE, voice.pitch_range),
        ):
            library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, CHARS_UTF8, None, None)
        library.espeak_Synchronize()
        library.espeak_Terminate()
    if not chunks:
        raise CorpusError(f"espeak-ng voice {voice.name!r} says nothing for the text {text!r}; correct or remove it")
    return Speech(samples=np.concatenate(chunks), rate=int(rate), phones=tuple(phones))


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """Load espeak-ng's shared library with all its variables new, and unload it again."""
    path = espeakng_loader.get_library_path()
    try:
        ctypes.CDLL(path, mode=os.RTLD_NOLOAD)
    except OSError:
        pass  # not loaded: as it must be
    else:
        raise CorpusError(f"{path} is already loaded in this process, so speech would not repeat; render elsewhere")
    library = ctypes.CDLL(path)
    try:
        yield library
    finally:
        _ctypes.dlclose(library._handle)  # noqa: SLF001  ctypes has no public way to unload
