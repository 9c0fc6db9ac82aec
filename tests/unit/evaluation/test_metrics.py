"""Scores: what they count, and how their intervals behave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongyeok.base.error_rates import cer, wer
from tongyeok.evaluation import metrics

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "apple", "it's", "."]), min_size=1, max_size=8).map(" ".join)
REFERENCE = "the cat sleeps on the old red chair"


def test_perfect_transcripts_score_perfectly() -> None:
    """Equal texts have BLEU, chrF and chrF++ 100, WER and CER 0 and 100 % exact matches."""
    texts = [REFERENCE, "my brother bought three apples"]
    assert metrics.bleu(metrics.bleu_counts(texts, texts, lang="en")) == pytest.approx(100)
    assert metrics.chrf(texts, texts) == pytest.approx(100)
    assert metrics.chrf(texts, texts, words=2) == pytest.approx(100)
    assert wer(texts, texts) == cer(texts, texts) == cer(texts, texts, spaces=False) == 0
    assert metrics.exact(texts, texts) == 100


def test_empty_hypotheses_count() -> None:
    """An empty hypothesis loses all its words and lowers BLEU by brevity; it is not left out."""
    references = [REFERENCE, REFERENCE]
    assert wer([REFERENCE, ""], references) == 50
    assert metrics.exact([REFERENCE, ""], references) == 50
    assert metrics.bleu(metrics.bleu_counts([REFERENCE, ""], references, lang="en")) == pytest.approx(
        100 * np.exp(1 - 2)
    )


def test_lists_must_agree() -> None:
    """Hypotheses and references of different number, or none, are refused."""
    for function in (wer, cer, metrics.exact, metrics.chrf):
        with pytest.raises(ValueError, match="as many hypotheses as references, got 1 and 2"):
            function(["a"], ["a", "b"])
        with pytest.raises(ValueError, match="got 0 and 0"):
            function([], [])


def test_tokeniser_depends_on_the_language() -> None:
    """Korean is scored by morphemes, with characters and words beside them; English by words alone."""
    assert metrics.tokeniser("ko") == "ko-mecab"
    assert metrics.tokenisers_beside("ko") == ("char", "13a")
    assert metrics.tokeniser("en") == metrics.tokeniser("es") == "13a"
    assert metrics.tokenisers_beside("en") == ()
    counts = metrics.bleu_counts(["고양이는 의자에서"], ["고양이가 의자에서"], lang="ko")
    assert counts[0, -1] == len(["고양이", "가", "의자", "에서"])
    endings = ["대통령은 치즈를 팔았어요"], ["대통령이 치즈를 팔았어요"]
    assert metrics.corpus_bleu(*endings, tokenise="ko-mecab") > metrics.corpus_bleu(*endings, tokenise="13a")


def test_chance_is_another_sentence() -> None:
    """The CER by chance is that of another sentence's text, whatever the order and number of copies."""
    assert metrics.chance_cer(["abcd", "abxy"], seed=1) == 50
    texts = ["abcd", "abxy", "qrst", "uv"]
    assert metrics.chance_cer(texts, seed=1) == metrics.chance_cer([*reversed(texts), *texts], seed=1)
    assert metrics.chance_cer(["abcd", "abcd"], seed=1) == 100


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
