"""The two ways in which a sentence carries its language: `<ko> 12 5` (prefix) and `<s> 12 5 </s> [ko]` (utut)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

BEGIN, END = "<s>", "</s>"  # fairseq's own marks
MASK = "<mask>"

Name = Literal["prefix", "utut"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """How sentences are written and which symbols follow the units in dict.txt.

    `whole`: sentences stand in the bitext with all their marks; otherwise fairseq adds the end mark.
    """

    name: Name
    brackets: str  # around a language
    whole: bool

    def tag(self, language: str) -> str:
        """The tag of a language (ISO 639), as it stands in dict.txt and in sentences."""
        return f"{self.brackets[0]}{language}{self.brackets[1]}"

    def sentence(self, language: str, units: Int[np.ndarray, " units"]) -> str:
        """A sentence as it stands in the bitext."""
        words = " ".join(map(str, units.tolist()))
        return f"{BEGIN} {words} {END} {self.tag(language)}" if self.whole else f"{self.tag(language)} {words}"

    def tokens(self, sentence: str) -> int:
        """Tokens of a sentence with all its marks."""
        return len(sentence.split()) + (not self.whole)

    def symbols(self, clusters: int, languages: Iterable[str]) -> list[str]:
        """The dictionary behind fairseq's own `<s> <pad> </s> <unk>`: units in order, tags, and utut's mask."""
        marks = [MASK] if self.whole else []
        return [*map(str, range(clusters)), *map(self.tag, languages), *marks]


PREFIX = Convention(name="prefix", brackets="<>", whole=False)
# As mBART's; source: UTUT's release, unit2unit/inference.py, and fairseq's translation_from_pretrained_bart.
UTUT = Convention(name="utut", brackets="[]", whole=True)
CONVENTIONS = {convention.name: convention for convention in (PREFIX, UTUT)}


def read_symbols(symbols: Sequence[str], *, clusters: int) -> tuple[Convention, tuple[str, ...]]:
    """The convention and the languages of a dictionary's symbols.

    Raises:
        ValueError: they are not the units 0 to `clusters` - 1 followed by tags of one of the conventions.
    """
    for convention in CONVENTIONS.values():
        tags = [symbol for symbol in symbols[clusters:] if symbol != MASK]
        languages = tuple(tag[1:-1] for tag in tags)
        if languages and list(symbols) == convention.symbols(clusters, languages):
            return convention, languages
    shown = " ".join(symbols[clusters : clusters + 4]) or "nothing"
    raise ValueError(
        f"expected the units 0 to {clusters - 1}, then tags such as `<ko> <en>` (prefix) or `[ko] [en] {MASK}` (utut), "
        f"got {len(symbols)} symbols with {shown} behind the units"
    )


def tag_of(sentence: str) -> str:
    """The language tag of a sentence in either convention."""
    first, *_, last = sentence.split()
    return last if last.startswith(UTUT.brackets[0]) else first


def language_of(sentence: str) -> str:
    """The language of a sentence in either convention."""
    return tag_of(sentence)[1:-1]


def units_of(sentence: str) -> Int[np.ndarray, " units"]:
    """The unit ids of a sentence in either convention, without tag and marks."""
    return np.array([word for word in sentence.split() if word.isdigit()], dtype=np.int32)
