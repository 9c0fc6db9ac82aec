"""What holds for scores whatever is scored."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tongyeok.base.utterances import Utterance
from tongyeok.evaluation import metrics
from tongyeok.evaluation.scores import DirectionScores, Heard, Outcome, score
from tongyeok.evaluation.speech import Trial
from tongyeok.unit2unit.pairs import Pair

TEXT = st.lists(st.sampled_from(["red", "cat", "sleeps", "on", "the", "old", "chair"]), min_size=1, max_size=9).map(
    " ".join
)
ROWS = st.lists(st.tuples(TEXT, TEXT, TEXT, st.integers(0, 3)), min_size=2, max_size=8)


def utterance(utt: str, group: str, lang: str) -> Utterance:
    """A row of the corpus."""
    return Utterance(utt=utt, group=group, lang=lang, split="test", speaker="s", text="", audio="", samples=1)


def scored(rows: Sequence[tuple[str, str, str, int]], *, seed: int = 1) -> DirectionScores:
    """Scores of rows (reference text, translation heard, resynthesis heard, sentence group)."""
    outcomes = []
    for number, (text, translated, resynthesised, group) in enumerate(rows):
        pair = Pair(
            source=utterance(f"{number}k", f"g{group}", "ko"), target=utterance(f"{number}e", f"g{group}", "en")
        )
        trial = Trial(pair=pair, source_units="<ko> 1", target_units="<en> 1 2 3 4 5")
        heard = Heard(translated=translated, resynthesised=resynthesised, reference=text)
        units = np.array([1, 2, 3, 4, 5], dtype=np.int32)
        outcomes.append(Outcome(trial=trial, units=units, speaker_similarity=0.5, text=text, heard=heard))
    return score(outcomes, asr="ear", resamples=40, seed=seed)


@given(rows=ROWS)
@settings(max_examples=25, deadline=None)
def test_a_translation_like_its_ceiling_reaches_it(rows: list[tuple[str, str, str, int]]) -> None:
    """Where the same is heard in translation and resynthesis, the share is 100 % in every resample."""
    found = scored([(text, same, same, group) for text, same, _, group in rows]).asr
    assert found is not None
    assert found.translated == found.resynthesised
    if found.of_resynthesised is not None:
        share = found.of_resynthesised
        assert (share.low, share.value, share.high) == pytest.approx((100, 100, 100))


@given(rows=ROWS, order=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_order_does_not_matter(rows: list[tuple[str, str, str, int]], order: Random) -> None:
    """Corpus scores are those of the trials, in any order."""
    shuffled = list(rows)
    order.shuffle(shuffled)
    first, second = scored(rows), scored(shuffled)
    assert first.asr is not None
    assert second.asr is not None
    assert first.asr.translated.bleu.value == pytest.approx(second.asr.translated.bleu.value)
    assert first.asr.translated.wer == pytest.approx(second.asr.translated.wer)
    assert first.asr.translated.chrf == pytest.approx(second.asr.translated.chrf)
    assert first.groups == second.groups


@given(rows=ROWS, seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_same_seed_same_scores(rows: list[tuple[str, str, str, int]], seed: int) -> None:
    """Scores repeat, intervals included, and contain nothing random but the resamples."""
    assert scored(rows, seed=seed) == scored(rows, seed=seed)


def test_intervals_cover_the_truth() -> None:
    """Of 200 samples of 40 sentences, about 95 % have an interval with the score of the whole population inside."""
    random = np.random.default_rng(8)
    reference = "the old red cat sleeps on the chair"
    kinds = [reference, "the old cat sleeps on a chair", "red cat on chair", ""]
    population = metrics.bleu_counts(kinds, [reference] * len(kinds), lang="en")
    truth = metrics.bleu(population)
    inside = 0
    for trial in range(200):
        counts = population[random.integers(0, len(kinds), 40)]
        picks = metrics.pick(40, resamples=100, seed=trial)
        found = metrics.interval(metrics.bleu(counts), metrics.resampled_bleu(counts, picks))
        inside += found.low <= truth <= found.high
    print(f"{inside} of 200 intervals hold the truth")
    assert 180 <= inside <= 199
