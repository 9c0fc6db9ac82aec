"""Text normalisation before scoring, the same for references and transcripts: OpenAI whisper's normalisers."""

import unicodedata
import warnings
from functools import cache
from typing import Protocol

from whisper_normalization import BasicTextNormalizer, EnglishTextNormalizer  # type: ignore[import-untyped]


class Normaliser(Protocol):
    """Maps spellings of the same words to one."""

    def __call__(self, text: str) -> str:
        """The text in normal form."""
        ...


@cache
def normaliser(lang: str) -> Normaliser:
    """The normaliser that whisper is scored with in a language (Radford et al. 2022, appendix C).

    English: lower case, no punctuation, British as American spelling, contractions spelt out, number words as digits.
    Other languages: lower case and no punctuation; letters keep their diacritics, Hangul stays composed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the library leaves its table of spellings open
        made: Normaliser = EnglishTextNormalizer() if lang == "en" else BasicTextNormalizer()
    return made


def normalise(text: str, *, lang: str) -> str:
    """A text as it is compared: in normal form, with single spaces and none at the ends.

    Args:
        text: a reference or a transcript.
        lang: its language, ISO 639.
    """
    return " ".join(normaliser(lang)(unicodedata.normalize("NFC", text)).split())
