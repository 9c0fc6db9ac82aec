"""evaluation/resynthesis_scores.py: what resynthesis loses, with paired intervals over sentences."""

import numpy as np
import pytest

from tongyeok.evaluation import metrics
from tongyeok.evaluation.resynthesis_scores import Heard, error, resampled_wer, score


def row(number: int, *, original: str, resynthesised: str, lang: str = "en") -> Heard:
    return Heard(
        utt=f"u{number}_{lang}",
        lang=lang,
        group=f"g{number}",
        samples=16_000,
        voice_similarity=0.5,
        text="a b c d",
        original=original,
        resynthesised=resynthesised,
    )


def test_the_loss_is_paired() -> None:
    """Where every resynthesis loses one more word than its original, the loss has no width, though errors have."""
    heard = [row(0, original="a b c d", resynthesised="a b c"), row(1, original="x y c d", resynthesised="x y c")]
    scores = score(heard, resamples=200, seed=1)["en"]
    assert scores.wer_original == metrics.Score(value=25.0, low=0.0, high=50.0)
    assert scores.wer_resynthesised == metrics.Score(value=50.0, low=25.0, high=75.0)
    assert scores.wer_lost == metrics.Score(value=25.0, low=25.0, high=25.0)
    assert (scores.cer_original, scores.heard_alike) == (pytest.approx(100 * 2 / 7 / 2), 0)
    assert scores.minutes == pytest.approx(2 / 60)


def test_languages_are_scored_apart() -> None:
    """A language's scores are the same whether others are scored with it or not."""
    english = [row(number, original="a b c d", resynthesised="a b c") for number in range(3)]
    french = [row(number, original="a b", resynthesised="a", lang="fr") for number in range(2)]
    both = score([*english, *french], resamples=50, seed=1)
    assert list(both) == ["en", "fr"]
    assert both["fr"] == score(french, resamples=50, seed=1)["fr"]


def test_utterances_of_one_sentence_are_drawn_together() -> None:
    """Resamples are of sentences: two utterances of one sentence never come apart."""
    heard, texts, groups = ["a", "x", "a b"], ["a", "b", "a b"], ["g0", "g0", "g1"]
    picks = np.array([[0, 0], [0, 1], [1, 1]])
    assert resampled_wer(heard, texts, groups, picks).tolist() == [50.0, 25.0, 0.0]


def test_one_utterance_has_its_own_error() -> None:
    """The error of one utterance is the resynthesis's, not the original's."""
    assert error(row(0, original="x x x x", resynthesised="a b c")) == 25.0
