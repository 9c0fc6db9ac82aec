"""Scores of a direction beside its ceilings."""

from dataclasses import replace

import pytest

from tongyeok.errors import EvaluationError
from tongyeok.evaluation.metrics import chance_cer
from tongyeok.evaluation.published import flat
from tongyeok.evaluation.scores import Heard, Outcome, reference_text, score
from tongyeok.evaluation.speech import Trial


def test_translation_beside_its_ceilings(outcomes: list[Outcome]) -> None:
    """Each kind of speech has its own scores over the same trials, and shares are of the ceilings."""
    found = score(outcomes, asr="ear", resamples=100, seed=1)
    assert found.asr is not None
    assert found.asr.reference.bleu.value == pytest.approx(100)
    assert found.asr.translated.bleu.value < found.asr.resynthesised.bleu.value < 100
    assert found.asr.of_resynthesised is not None
    assert found.asr.of_resynthesised.value == pytest.approx(
        100 * found.asr.translated.bleu.value / found.asr.resynthesised.bleu.value
    )
    words = sum(len(outcome.text.split()) for outcome in outcomes)
    assert found.asr.translated.wer == pytest.approx(100 * (1 + 5) / words)
    assert found.asr.translated.exact == pytest.approx(100 / 3)
    letters = sum(len(outcome.text) for outcome in outcomes)
    assert found.asr.translated.cer == pytest.approx(100 * (3 + len(outcomes[2].text)) / letters)
    assert found.asr.translated.cer_no_spaces != found.asr.translated.cer
    assert found.asr.translated.chrf_plus_plus < found.asr.resynthesised.chrf_plus_plus < 100
    assert found.asr.translated.bleu_by == {}
    assert (found.n, found.groups) == (3, 3)
    assert found.unit_bleu == pytest.approx(100)
    assert found.speaker_similarity == pytest.approx(0.6)


def test_share_of_nothing(outcomes: list[Outcome]) -> None:
    """Where the ceiling is 0 a share is not defined, and not reported."""
    silent = [replace(outcome, heard=Heard(translated="", resynthesised="", reference="")) for outcome in outcomes]
    found = score(silent, asr="ear", resamples=50, seed=1)
    assert found.asr is not None
    assert (found.asr.of_resynthesised, found.asr.ceiling) == (None, None)
    assert "ko-en/of_resynthesised" not in flat({"ko-en": found})
    assert flat({"ko-en": found})["ko-en/wer"] == 100


def test_a_reference_without_text(trials: list[Trial]) -> None:
    """A reference without text cannot be scored by what is heard, and is named."""
    target = replace(trials[0].pair.target, text=" ?!")
    trial = replace(trials[0], pair=replace(trials[0].pair, target=target))
    with pytest.raises(EvaluationError, match="g0_en: a test reference in en without text"):
        reference_text(trial)


def test_korean_has_its_own_figures(korean: list[Outcome]) -> None:
    """Into Korean the headline counts morphemes, with characters and words beside it, each with its signature."""
    found = score(korean, asr="ear", resamples=50, seed=1).asr
    assert found is not None
    assert found.reference.bleu.value == pytest.approx(100)
    assert list(found.translated.bleu_by) == ["char", "13a"]
    assert found.translated.bleu_by["13a"] < found.translated.bleu.value < 100
    inside = {"asr_bleu": "tok:ko-mecab", "char_bleu": "tok:char", "bleu_13a": "tok:13a"}
    inside |= {"chrf": "nw:0", "chrf_plus_plus": "nw:2"}
    assert list(found.signatures) == list(inside)
    assert all(part in found.signatures[name] for name, part in inside.items())


@pytest.mark.parametrize(("share", "understood"), [(0.4, True), (0.6, False)])
def test_a_recogniser_must_understand_the_original(outcomes: list[Outcome], share: float, understood: bool) -> None:
    """Where the original speech is heard more than half as badly as by chance, it is said not to be understood."""
    missed = share * chance_cer([outcome.text for outcome in outcomes], seed=1) / 100
    rows, cut = [], 0
    for outcome in outcomes:
        assert outcome.heard is not None
        start = round(missed * len(outcome.text))
        rows.append(replace(outcome, heard=replace(outcome.heard, reference=outcome.text[start:])))
        cut += start
    found = score(rows, asr="ear", resamples=50, seed=1).asr
    assert found is not None
    assert found.reference.cer == pytest.approx(100 * cut / sum(len(outcome.text) for outcome in outcomes))
    assert found.understood == understood
