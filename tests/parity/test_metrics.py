"""Scores against sacrebleu and jiwer, which define them, and CER against its definition."""

import json
import subprocess
import sys
from pathlib import Path

import jiwer
import numpy as np
import pytest
import sacrebleu

from parity.record import Record, compared
from tongyeok.base.error_rates import cer, wer
from tongyeok.evaluation import metrics

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sleeps",
    "eats",
    "on",
    "under",
    "old",
    "red",
    "chair",
    "3",
    "apples",
    ",",
    ".",
    "it's",
]
KOREAN = [
    *("어제", "대통령은", "대통령이", "치즈와", "커피를", "주문했어요", "주문해요", "친구는", "오늘", "기타를"),
    *("팔고", "싶어", "해요", "박물관에", "갔어요", "갔다", "사과", "3개를", "세", "개를", "빨간", "DVD를"),
    *("저녁에", "비가", "와요"),
]


def spoilt(words: list[str]) -> tuple[list[str], list[str]]:
    """200 hypotheses and references at various distances, some empty."""
    random = np.random.default_rng(5)
    references = [" ".join(random.choice(words, size=random.integers(1, 14))) for _ in range(200)]
    hypotheses = []
    for reference in references:
        kept = [word for word in reference.split() if random.random() > 0.2]
        hypotheses.append(" ".join(kept if random.random() > 0.1 else random.choice(words, size=random.integers(0, 9))))
    return hypotheses, references


@pytest.fixture
def texts() -> tuple[list[str], list[str]]:
    """English hypotheses and references."""
    return spoilt(WORDS)


@pytest.fixture
def korean() -> tuple[list[str], list[str]]:
    """Korean ones, with wrong endings, joined words, digits and Latin letters."""
    hypotheses, references = spoilt(KOREAN)
    return [text.replace("싶어 해요", "싶어해요").replace("은 ", "이 ") for text in hypotheses], references


@pytest.mark.parametrize("lang", ["en", "ko", "zh"])
def test_bleu_is_sacrebleu(texts: tuple[list[str], list[str]], lang: str, record_property: Record) -> None:
    """Corpus BLEU from summed statistics is sacrebleu's corpus score, to the last bit."""
    hypotheses, references = texts
    wanted = sacrebleu.BLEU(lowercase=True, tokenize=metrics.tokeniser(lang)).corpus_score(hypotheses, [references])
    found = metrics.bleu(metrics.bleu_counts(hypotheses, references, lang=lang))
    compared(
        record_property,
        tool="sacrebleu's `BLEU`",
        source=f"200 spoilt sentences, {metrics.tokeniser(lang)}",
        result=f"largest difference {abs(found - wanted.score):.1e}",
    )
    assert found == wanted.score


@pytest.mark.parametrize("tokenise", ["ko-mecab", "char", "13a"])
def test_korean_bleu_is_sacrebleu(korean: tuple[list[str], list[str]], tokenise: str, record_property: Record) -> None:
    """BLEU of morphemes, of characters and of words is what `sacrebleu.corpus_bleu` gives, to the last bit."""
    hypotheses, references = korean
    wanted = sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenise, lowercase=True).score
    assert 1 < wanted < 99
    assert metrics.corpus_bleu(hypotheses, references, tokenise=tokenise) == wanted
    compared(
        record_property,
        tool="sacrebleu's `corpus_bleu`",
        source=f"200 spoilt Korean sentences, {tokenise}",
        result="equal to the bit",
    )
    if tokenise == metrics.tokeniser("ko"):
        assert metrics.bleu(metrics.bleu_counts(hypotheses, references, lang="ko")) == wanted


@pytest.mark.parametrize("tokenise", ["ko-mecab", "char", "13a"])
def test_figures_and_signatures_are_the_command_lines(
    korean: tuple[list[str], list[str]], tokenise: str, tmp_path: Path, record_property: Record
) -> None:
    """The command line of sacrebleu prints the same BLEU and chrF++ with the same signatures, to its ten places."""
    for name, lines in zip(("hypotheses", "references"), korean, strict=True):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    options = ("--metrics", "bleu", "chrf", "--chrf-word-order", "2", "--tokenize", tokenise, "--lowercase")
    command = [sys.executable, "-m", "sacrebleu", "references", "--input", "hypotheses", *options, "--width", "10"]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    bleu, chrf = json.loads(printed)
    assert bleu["score"] == round(metrics.corpus_bleu(*korean, tokenise=tokenise), 10)
    assert bleu["signature"] == metrics.bleu_signature(tokenise)
    assert chrf["score"] == round(metrics.chrf(*korean, words=metrics.CHRF_PLUS_PLUS_WORDS), 10)
    assert chrf["signature"] == metrics.chrf_signature(metrics.CHRF_PLUS_PLUS_WORDS)
    compared(
        record_property,
        tool="sacrebleu's command line",
        source=f"the same Korean sentences, {tokenise}",
        result="BLEU and chrF++ equal to ten places, signatures equal",
    )


def test_bootstrap_is_sacrebleu(texts: tuple[list[str], list[str]], record_property: Record) -> None:
    """Mean and half width over 1000 resamples are those that sacrebleu prints for its own seed.

    Tolerance 1e-5: sacrebleu resamples in float32.
    """
    hypotheses, references = texts
    wanted = sacrebleu.BLEU(lowercase=True).corpus_score(hypotheses, [references], n_bootstrap=1000)
    counts = metrics.bleu_counts(hypotheses, references, lang="en")
    resampled = metrics.resampled_bleu(counts, metrics.pick(len(counts), resamples=1000, seed=12345))
    found = metrics.interval(metrics.bleu(counts), resampled)
    differences = abs(resampled.mean() - wanted._mean), abs((found.high - found.low) / 2 - wanted._ci)
    compared(
        record_property,
        tool="sacrebleu's bootstrap",
        source="200 spoilt sentences, 1,000 resamples, its seed",
        result=f"mean and half width equal to {max(differences):.1e}",
    )
    assert max(differences) < 1e-5


@pytest.mark.parametrize("tokenise", ["13a", "char", "ko-mecab", "zh"])
def test_bleu_signature_is_sacrebleu(tokenise: str) -> None:
    """The signature is the one that sacrebleu gives, and names the tokeniser."""
    metric = sacrebleu.BLEU(lowercase=True, tokenize=tokenise)
    metric.corpus_score(["a"], [["a"]])
    assert metrics.bleu_signature(tokenise) == str(metric.get_signature())
    assert f"|tok:{tokenise}" in metrics.bleu_signature(tokenise)


@pytest.mark.parametrize(("words", "inside"), [(0, "nw:0"), (2, "nw:2")])
def test_chrf_signature_is_sacrebleu(words: int, inside: str) -> None:
    """The signature of chrF, and of chrF++ with its word n-grams, is sacrebleu's."""
    metric = sacrebleu.CHRF(word_order=words)
    metric.corpus_score(["a"], [["a"]])
    assert metrics.chrf_signature(words) == str(metric.get_signature())
    assert inside in metrics.chrf_signature(words)


def test_chrf_is_sacrebleu(texts: tuple[list[str], list[str]], record_property: Record) -> None:
    """ChrF is sacrebleu's default, chrF2."""
    hypotheses, references = texts
    assert metrics.chrf(hypotheses, references) == sacrebleu.corpus_chrf(hypotheses, [references]).score
    compared(
        record_property,
        tool="sacrebleu's `corpus_chrf`",
        source="200 spoilt sentences",
        result="equal to the bit",
    )


def test_wer_is_jiwer(texts: tuple[list[str], list[str]], record_property: Record) -> None:
    """WER over the corpus is jiwer's; tolerance 1e-12."""
    hypotheses, references = texts
    wanted = 100 * jiwer.wer(references, hypotheses)
    found = wer(hypotheses, references)
    compared(
        record_property,
        tool="jiwer's `wer`",
        source="200 spoilt sentences",
        result=f"largest difference {abs(found - wanted):.1e}",
    )
    assert found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("words", [WORDS, KOREAN], ids=["en", "ko"])
def test_chrf_plus_plus_is_sacrebleu(words: list[str]) -> None:
    """ChrF++ is sacrebleu's chrF2 with word n-grams up to 2."""
    hypotheses, references = spoilt(words)
    wanted = sacrebleu.CHRF(word_order=2).corpus_score(hypotheses, [references]).score
    assert metrics.chrf(hypotheses, references, words=metrics.CHRF_PLUS_PLUS_WORDS) == wanted
    assert metrics.chrf(hypotheses, references) != wanted


def edit_distance(left: str, right: str) -> int:
    """Levenshtein's distance by its textbook recurrence."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        corner, row[0] = row[0], i
        for j, b in enumerate(right, start=1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
    return row[-1]


@pytest.mark.parametrize("words", [WORDS, KOREAN], ids=["en", "ko"])
def test_cer_is_edits_over_characters(words: list[str]) -> None:
    """CER is the sum of edit distances over the sum of reference characters, spaces as characters or taken out."""
    hypotheses, references = spoilt(words)
    for spaces in (True, False):
        pairs = [
            tuple(text if spaces else text.replace(" ", "") for text in pair)
            for pair in zip(hypotheses, references, strict=True)
        ]
        wanted = 100 * sum(edit_distance(*pair) for pair in pairs) / sum(len(reference) for _, reference in pairs)
        assert cer(hypotheses, references, spaces=spaces) == wanted
    assert cer(hypotheses, references) == pytest.approx(100 * jiwer.cer(references, hypotheses), abs=1e-12)
