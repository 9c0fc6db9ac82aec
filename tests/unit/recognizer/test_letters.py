"""Texts as letters and back."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongyeok.recognizer import letters

SYLLABLES = [chr(code) for code in range(0xAC00, 0xAC00 + 11_172)]


def test_every_syllable_comes_back() -> None:
    """All 11,172 syllables are taken apart and put together exactly, alone and in one word."""
    for syllable in SYLLABLES:
        jamo = letters.decompose(syllable)
        assert jamo == unicodedata.normalize("NFD", syllable)
        assert letters.compose(jamo) == syllable
    whole = "".join(SYLLABLES)
    assert letters.read(letters.spell(whole, hangul="jamo")) == whole


@pytest.mark.parametrize("hangul", ["jamo", "syllables"])
@given(text=st.text(alphabet=st.one_of(st.sampled_from(SYLLABLES), st.sampled_from("abcñéü 'Z9.,!")), max_size=40))
def test_what_is_spelt_reads_as_what_is_spoken(hangul: letters.Hangul, text: str) -> None:
    """Any mixture of Hangul and other letters comes back in lower case without punctuation."""
    assert letters.read(letters.spell(text, hangul=hangul)) == letters.spoken(text)


def test_a_line_is_that_of_the_guide() -> None:
    """Letters of a word, `|` after each word."""
    assert letters.spell("It's 한글.", hangul="syllables") == ["i", "t", "'", "s", "|", "한", "글", "|"]
    assert letters.spell("한", hangul="jamo") == ["\u1112", "\u1161", "\u11ab", "|"]
    assert letters.spell("¿…?", hangul="jamo") == []


def test_jamo_that_fit_nowhere_stay() -> None:
    """What a recogniser may say wrongly is kept, so that it counts as an error."""
    assert letters.compose("\u1112\u1112\u1161\u11ab\u11ab") == "\u1112한\u11ab"


def test_a_vowel_alone_is_written_with_the_silent_consonant() -> None:
    """It is not spoken, so that a recogniser may leave it out."""
    assert letters.compose("\u1161") == letters.compose("\u110b\u1161") == "아"
    assert letters.compose("\u1112\u1161\u11ab\u1161\u11ab") == "한안"


def test_symbols_are_counted_in_order() -> None:
    """The boundary first, then symbols by code point, each with its count."""
    assert list(letters.count_symbols([["b", "a", "|"], ["a", "|"]]).items()) == [("|", 2), ("a", 2), ("b", 1)]


def test_the_alphabet_of_jamo_is_whole() -> None:
    """Every syllable can be spelt once one is in the training texts; without Korean there are no jamo."""
    counts = letters.count_symbols([letters.spell("한", hangul="jamo")])
    assert {jamo for syllable in SYLLABLES for jamo in letters.decompose(syllable)} == set(counts) - {"|"}
    assert sum(counts.values()) == 4
    assert set(letters.count_symbols([letters.spell("한", hangul="syllables")])) == {"|", "한"}
