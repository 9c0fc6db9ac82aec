"""Error rates: what they count."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongyeok.base.error_rates import cer, character_errors, wer, word_errors

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "apple", "it's", "."]), min_size=1, max_size=8).map(" ".join)


def test_word_errors_count_each_kind() -> None:
    """Substitutions, insertions and deletions cost one each."""
    assert word_errors("the dog sleeps", "the cat sleeps") == (1, 3)
    assert word_errors("the the cat sleeps", "the cat sleeps") == (1, 3)
    assert word_errors("cat sleeps", "the cat sleeps") == (1, 3)


def test_characters_are_counted_with_and_without_spaces() -> None:
    """A wrong space is one error of nine characters, and none where spaces are taken out; a syllable is a character."""
    assert character_errors("저녁에비가 와요", "저녁에 비가 와요", spaces=True) == (1, 9)
    assert character_errors("저녁에비가 와요", "저녁에 비가 와요", spaces=False) == (0, 7)
    assert character_errors("저녁에 비가 왔어요", "저녁에 비가 와요", spaces=False) == (2, 7)


def test_rates_need_references() -> None:
    """References without words or characters have no error rate."""
    with pytest.raises(ValueError, match="expected references with words"):
        wer(["a"], [""])
    with pytest.raises(ValueError, match="expected references with characters"):
        cer(["a"], [" "], spaces=False)


@given(hypothesis=WORDS, reference=WORDS)
@settings(max_examples=50, deadline=None)
def test_word_errors_are_a_distance(hypothesis: str, reference: str) -> None:
    """Symmetric, zero only for equal texts, at least the difference in length."""
    errors, words = word_errors(hypothesis, reference)
    backwards, _ = word_errors(reference, hypothesis)
    assert errors == backwards
    assert (errors == 0) == (hypothesis == reference)
    assert abs(len(hypothesis.split()) - words) <= errors <= max(len(hypothesis.split()), words)
