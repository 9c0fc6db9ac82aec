"""The comparison's figures: differences are paired, what is unknown is shown as unknown."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.units import UnitSource, write_units
from tongyeok.evaluation import unit_comparison
from tongyeok.evaluation.resynthesis_scores import Heard, score
from tongyeok.evaluation.unit_comparison import Contender, Row, UnitFigures
from tongyeok.speech2unit.health_phones import Alignment

TEXTS = ("a b c d", "e f g h", "i j k l")
BOOTSTRAP = {"resamples": 50, "seed": 1}


def heard(said: Sequence[str]) -> list[Heard]:
    """What was heard of one utterance of each text."""
    return [
        Heard(
            utt=f"u{place}",
            lang="en",
            group=f"g{place}",
            samples=16_000,
            voice_similarity=0.5,
            text=text,
            original=text,
            resynthesised=words,
        )
        for place, (text, words) in enumerate(zip(TEXTS, said, strict=True))
    ]


def row(contender: Contender, said: Sequence[str], *, baseline: Sequence[str] | None = None) -> Row:
    """A row of a corpus without phones."""
    return Row(
        contender=contender,
        lang="en",
        units=UnitFigures(used=5, units_per_second=12.5, phone_purity=None, pnmi=None),
        mel_error=0.5,
        speech=score(heard(said), **BOOTSTRAP)["en"],
        less_mfcc=None if baseline is None else unit_comparison.less(heard(said), heard(baseline), **BOOTSTRAP),
    )


def contender(updates: int | None) -> Contender:
    """MFCC, or HuBERT after so many updates."""
    return Contender(name="x", hubert=None, updates=updates, minutes=None, smoothing=1)


def test_less_pairs_the_utterances() -> None:
    """One word more lost in each sentence is 25 points with no interval, however unequal the sentences are."""
    theirs, ours = heard(["a b c d", "e f", "i"]), heard(["a b c", "e", ""])
    assert score(theirs, **BOOTSTRAP)["en"].wer_resynthesised.low < 30
    assert score(theirs, **BOOTSTRAP)["en"].wer_resynthesised.high > 60
    found = unit_comparison.less(ours, theirs, **BOOTSTRAP)
    assert (found.value, found.low, found.high) == pytest.approx((25, 25, 25))
    assert unit_comparison.less(theirs, ours, **BOOTSTRAP).value == pytest.approx(-25)


def test_unit_figures(tmp_path: Path) -> None:
    """Units that are phones have purity and PNMI 1; without phones both are unknown, and use and rate are known."""
    units = {"u0": np.repeat([0, 1], 25).astype(np.int32)}
    write_units(tmp_path / "en.tsv", UnitSource(codebook="c", checkpoint="", clusters=4), units)
    phones = {"u0": Alignment(phones=("a", "b"), ends=np.array([8_000, 16_000]))}
    known = unit_comparison.unit_figures(tmp_path, phones, languages=["en"])["en"]
    assert (known.phone_purity, known.pnmi) == pytest.approx((1, 1))
    unknown = unit_comparison.unit_figures(tmp_path, {}, languages=["en"])["en"]
    assert unknown == UnitFigures(used=2, units_per_second=2.0, phone_purity=None, pnmi=None)


def test_markdown_shows_what_is_unknown() -> None:
    """Phones that the corpus does not know, and a difference of the baseline from itself, are dashes."""
    said = ["a b c d", "e f g h", "i j k"]
    text = unit_comparison.markdown([row(contender(None), said)], method=["how"])
    (line,) = (line for line in text.splitlines() if line.startswith("| MFCC"))
    assert line.split(" | ")[:7] == ["| MFCC", "-", "en", "12.5", "-", "-", "0.500"]
    assert line.split(" | ")[9:11] == ["-", "-"]
    assert "- how" in text


@pytest.mark.parametrize("updates", [(), (60, 30)], ids=["MFCC alone", "unsorted updates"])
def test_the_plot_repeats_to_the_byte(tmp_path: Path, updates: tuple[int, ...]) -> None:
    """The same rows, with or without HuBERT, give the same picture."""
    said = ["a b c d", "e f g h", "i j k"]
    rows = [row(contender(None), said), *(row(contender(count), said, baseline=said) for count in updates)]
    for name in ("first", "second"):
        unit_comparison.draw(tmp_path / f"{name}.png", rows)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert (tmp_path / "first.png").read_bytes().startswith(b"\x89PNG")
