"""Texts as letters and back: Hangul syllables as jamo or whole, everything else in lower case.

A line of a `.ltr` file has one symbol a letter, `|` between words and after the last, as wav2vec's `libri_labels` has
it. Syllables are taken apart by the arithmetic of the Unicode Standard (3.12) into a leading consonant, a vowel and an
optional trailing consonant, whose code points differ by place, so that the way back is exact and needs no look-ahead.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

Hangul = Literal["jamo", "syllables"]

BOUNDARY = "|"  # between words
APOSTROPHES = {"'", "\u2019"}
FIRST_SYLLABLE, SYLLABLES = 0xAC00, 11_172
LEADING, VOWEL, TRAILING = 0x1100, 0x1161, 0x11A7  # TRAILING itself stands for none
LEADINGS, VOWELS, TRAILINGS = 19, 21, 28
SILENT = 0x110B  # the leading consonant that is written where none is spoken
JAMO = frozenset(
    chr(start + place)
    for start, places in ((LEADING, range(LEADINGS)), (VOWEL, range(VOWELS)), (TRAILING, range(1, TRAILINGS)))
    for place in places
)


def spoken(text: str) -> str:
    """The letters, digits and apostrophes of a text in lower case, with single spaces between words."""
    kept = [
        "'" if letter in APOSTROPHES else letter if unicodedata.category(letter)[0] in "LMN" else " "
        for letter in unicodedata.normalize("NFC", text).lower()
    ]
    words = ("".join(kept)).split()
    return " ".join(word for word in (word.strip("'") for word in words) if word)


def decompose(letter: str) -> str:
    """A Hangul syllable as two or three jamo; any other letter as it is."""
    place = ord(letter) - FIRST_SYLLABLE
    if not 0 <= place < SYLLABLES:
        return letter
    rest, trailing = divmod(place, TRAILINGS)
    leading, vowel = divmod(rest, VOWELS)
    jamo = chr(LEADING + leading) + chr(VOWEL + vowel)
    return jamo + chr(TRAILING + trailing) if trailing else jamo


def compose(letters: str) -> str:
    """Jamo put together into syllables; a consonant that fits nowhere stays as it is.

    No syllable begins with a vowel in writing: one without a consonant before it gets the silent one, which nobody can
    hear.
    """
    done: list[str] = []
    for letter in letters:
        last = ord(done[-1]) if done else 0
        code = ord(letter)
        if 0 <= code - VOWEL < VOWELS:
            leads = 0 <= last - LEADING < LEADINGS
            leading = ord(done.pop()) if leads else SILENT
            done.append(chr(FIRST_SYLLABLE + ((leading - LEADING) * VOWELS + code - VOWEL) * TRAILINGS))
        elif 0 < code - TRAILING < TRAILINGS and _is_open(last):
            done[-1] = chr(last + code - TRAILING)
        else:
            done.append(letter)
    return "".join(done)


def _is_open(code: int) -> bool:
    """Whether a code point is a syllable without a trailing consonant."""
    return 0 <= code - FIRST_SYLLABLE < SYLLABLES and (code - FIRST_SYLLABLE) % TRAILINGS == 0


def spell(text: str, *, hangul: Hangul) -> list[str]:
    """The symbols of a text; none where nothing in it is spoken."""
    words = spoken(text).split()
    if hangul == "jamo":
        words = ["".join(map(decompose, word)) for word in words]
    return [symbol for word in words for symbol in (*word, BOUNDARY)]


def read(symbols: Sequence[str]) -> str:
    """The text that symbols spell, whichever way Hangul was written."""
    return " ".join(compose(word) for word in "".join(symbols).split(BOUNDARY) if word)


def count_symbols(lines: Iterable[Sequence[str]]) -> dict[str, int]:
    """How often each symbol occurs, `|` first, the rest by code point.

    Where one jamo occurs, the others are there too, if need be with a count of 0: they are a closed set, which rare
    vowels should not fall out of because their sentences went to another split.
    """
    counts = Counter(symbol for line in lines for symbol in line)
    if not JAMO.isdisjoint(counts):
        counts.update(dict.fromkeys(JAMO, 0))
    return {symbol: counts[symbol] for symbol in sorted(counts, key=lambda symbol: (symbol != BOUNDARY, symbol))}
