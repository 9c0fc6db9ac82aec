"""Normal form of references and transcripts."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongyeok.evaluation.normalise import normalise

NUMBER_WORDS = (
    *("oh", "zero", "one", "five", "twelve", "twenty", "ninety", "hundred", "thousand", "double", "point", "and", "a"),
    *("half", "first", "twentieth", "percent", "minus", "dollars", "cents", "$5", "3.5", "1/2", "10th", ".", "-", "½"),
)
NUMBERS = st.lists(st.sampled_from(NUMBER_WORDS), min_size=1, max_size=7).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She has three red apples.", "she has 3 red apples"),
        ("She has 3 red apples", "she has 3 red apples"),
        ("It's our neighbour's favourite colour!", "it is our neighbor is favorite color"),
        ("Twenty-one   DOGS, ran\tfast", "21 dogs ran fast"),
    ],
)
def test_english(text: str, expected: str) -> None:
    """Case, punctuation, spelling, contractions and number words do not count."""
    assert normalise(text, lang="en") == expected


def test_spanish_keeps_its_letters() -> None:
    """Other languages lose case and punctuation, not diacritics."""
    assert normalise("¿Dónde está el Niño?", lang="es") == "dónde está el niño"


def test_hangul_stays_composed() -> None:
    """Composed and decomposed Hangul are one text, and the result is composed."""
    text = "저녁에 비가 와요."
    found = normalise(unicodedata.normalize("NFD", text), lang="ko")
    assert found == normalise(text, lang="ko") == "저녁에 비가 와요"
    assert found == unicodedata.normalize("NFC", found)


def test_numbers_stay_as_written_but_in_english() -> None:
    """Korean digits never become words nor words digits, which is ambiguous; full-width digits are digits."""
    assert normalise("사과 3개를 샀어요.", lang="ko") == "사과 3개를 샀어요"
    assert normalise("사과 세 개를 샀어요.", lang="ko") == "사과 세 개를 샀어요"
    assert normalise("１０만 원", lang="ko") == "10만 원"


@given(text=NUMBERS)
@settings(max_examples=200, deadline=None)
def test_no_spoken_number_breaks_it(text: str) -> None:
    """Whatever a recogniser makes of numbers has a normal form, with single spaces."""
    found = normalise(text, lang="en")
    assert found == " ".join(found.split())
