"""Scores: what they count, and how their intervals behave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongyeok.evaluation import metrics

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "apple", "it's", "."]), min_size=1, max_size=8).map(" ".join)
REFERENCE = "the cat sleeps on the old red chair"


def test_perfect_transcripts_score_perfectly() -> None:
    """Equal texts have BLEU and chrF 100, WER 0 and 100 % exact matches."""
    texts = [REFERENCE, "my brother bought three apples"]
    assert metrics.bleu(metrics.bleu_counts(texts, texts, lang="en")) == pytest.approx(100)
    assert metrics.chrf(texts, texts) == pytest.approx(100)
    assert metrics.wer(texts, texts) == 0
    assert metrics.exact(texts, texts) == 100


def test_empty_hypotheses_count() -> None:
    """An empty hypothesis loses all its words and lowers BLEU by brevity; it is not left out."""
    references = [REFERENCE, REFERENCE]
    assert metrics.wer([REFERENCE, ""], references) == 50
    assert metrics.exact([REFERENCE, ""], references) == 50
    assert metrics.bleu(metrics.bleu_counts([REFERENCE, ""], references, lang="en")) == pytest.approx(
        100 * np.exp(1 - 2)
    )


def test_word_errors_count_each_kind() -> None:
    """Substitutions, insertions and deletions cost one each."""
    assert metrics.word_errors("the dog sleeps", "the cat sleeps") == (1, 3)
    assert metrics.word_errors("the the cat sleeps", "the cat sleeps") == (1, 3)
    assert metrics.word_errors("cat sleeps", "the cat sleeps") == (1, 3)


def test_wer_needs_words() -> None:
    """References without words have no error rate."""
    with pytest.raises(ValueError, match="expected references with words"):
        metrics.wer(["a"], [""])


def test_lists_must_agree() -> None:
    """Hypotheses and references of different number, or none, are refused."""
    for function in (metrics.wer, metrics.exact, metrics.chrf):
        with pytest.raises(ValueError, match="as many hypotheses as references, got 1 and 2"):
            function(["a"], ["a", "b"])
        with pytest.raises(ValueError, match="got 0 and 0"):
            function([], [])


def test_tokeniser_depends_on_the_language() -> None:
    """Korean is scored by characters, English by words, and the signature says so."""
    assert "tok:char" in metrics.bleu_signature("ko")
    assert "tok:13a" in metrics.bleu_signature("en")
    counts = metrics.bleu_counts(["저녁에 비가 와요"], ["저녁에 비가 왔어요"], lang="ko")
    assert counts[0, -1] == 8


def test_interval_leaves_out_one_in_forty_at_either_end() -> None:
    """Of 1000 resamples the 26th and the 975th are the ends."""
    found = metrics.interval(500.0, np.arange(1000.0))
    assert (found.low, found.high) == (25.0, 974.0)


def test_clusters_are_summed() -> None:
    """Utterances of one sentence are one row for the bootstrap, and the corpus score stays."""
    counts = metrics.bleu_counts(["a b c d", "a b x d", "e f g h"], ["a b c d", "a b c d", "e f g z"], lang="en")
    grouped = metrics.by_cluster(counts, ["g1", "g2", "g1"])
    assert len(grouped) == 2
    assert metrics.bleu(grouped) == metrics.bleu(counts)
    assert (grouped[0] == counts[0] + counts[2]).all()


@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_intervals_are_ordered_and_repeat(pairs: list[tuple[str, str]], seed: int) -> None:
    """Low <= high within 0 to 100, and the same seed gives the same interval."""
    hypotheses, references = (list(side) for side in zip(*pairs, strict=True))
    counts = metrics.bleu_counts(hypotheses, references, lang="en")
    found = [
        metrics.interval(
            metrics.bleu(counts),
            metrics.resampled_bleu(counts, metrics.pick(len(counts), resamples=50, seed=seed)),
        )
        for _ in range(2)
    ]
    assert 0 <= found[0].low <= found[0].high <= 100 + 1e-9
    assert found[0] == found[1]


@given(hypothesis=WORDS, reference=WORDS)
@settings(max_examples=50, deadline=None)
def test_word_errors_are_a_distance(hypothesis: str, reference: str) -> None:
    """Symmetric, zero only for equal texts, at least the difference in length."""
    errors, words = metrics.word_errors(hypothesis, reference)
    backwards, _ = metrics.word_errors(reference, hypothesis)
    assert errors == backwards
    assert (errors == 0) == (hypothesis == reference)
    assert abs(len(hypothesis.split()) - words) <= errors <= max(len(hypothesis.split()), words)
