"""Both ways of carrying a language."""

import numpy as np
import pytest

from tongyeok.unit2unit import tags
from tongyeok.unit2unit.tags import CONVENTIONS, PREFIX, UTUT

UNITS = np.array([5, 0, 11], dtype=np.int32)


def test_sentences() -> None:
    """The prefix leads and leaves the end mark to fairseq; utut writes every mark and ends in the tag."""
    assert PREFIX.sentence("ko", UNITS) == "<ko> 5 0 11"
    assert UTUT.sentence("ko", UNITS) == "<s> 5 0 11 </s> [ko]"
    assert [each.tokens(each.sentence("ko", UNITS)) for each in (PREFIX, UTUT)] == [5, 6]


def test_symbols() -> None:
    """Units in order, then tags in the order of the languages, then utut's mask."""
    assert PREFIX.symbols(3, ["ko", "en"]) == ["0", "1", "2", "<ko>", "<en>"]
    assert UTUT.symbols(3, ["ko", "en"]) == ["0", "1", "2", "[ko]", "[en]", "<mask>"]


@pytest.mark.parametrize("name", CONVENTIONS)
def test_written_is_read(name: tags.Name) -> None:
    """Tag and units of a sentence, and convention and languages of a dictionary, come back."""
    convention = CONVENTIONS[name]
    sentence = convention.sentence("en", UNITS)
    assert tags.tag_of(sentence) == convention.tag("en")
    assert tags.language_of(sentence) == "en"
    assert tags.units_of(sentence).tolist() == UNITS.tolist()
    assert tags.read_symbols(convention.symbols(12, ["ko", "en"]), clusters=12) == (convention, ("ko", "en"))


@pytest.mark.parametrize(
    "symbols",
    [
        ["0", "1", "<ko>", "<en>"],
        ["0", "2", "1", "<ko>", "<en>"],
        ["0", "1", "2", "[ko]", "[en]"],
        ["0", "1", "2", "<ko>", "<en>", "<mask>"],
        ["0", "1", "2", "<mask>", "[ko]", "[en]"],
        ["0", "1", "2", "ko_KR", "en_XX"],
        ["0", "1", "2"],
    ],
)
def test_an_unknown_convention_is_refused(symbols: list[str]) -> None:
    """Other units, other brackets, a mask that is missing, misplaced or too many: each is named with both ways."""
    with pytest.raises(ValueError, match=r"expected the units 0 to 2, then tags such as .* \(prefix\) or .* \(utut\)"):
        tags.read_symbols(symbols, clusters=3)
