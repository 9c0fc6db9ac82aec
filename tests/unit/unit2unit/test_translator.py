"""The stage `translator`, without training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tongyeok.engine.translation import Architecture, Optimisation
from tongyeok.unit2unit import translator
from tongyeok.unit2unit.tags import units_of
from unit.unit2unit.toy_training import architecture, optimisation
from unit.unit2unit.toy_units import GROUPS, build_bitext


class FakeTranslator:
    """Answers with the length of each source."""

    def translate(self, sources: Sequence[str], *, tag: str, beam: int) -> list[np.ndarray]:
        """One unit a sentence: its length; plus the beam for English."""
        return [np.array([len(source) + beam * (tag == "<en>")]) for source in sources]


def test_translations_keep_their_order() -> None:
    """Sentences are translated tag by tag and come back in the order given."""
    found = translator.translate_all(FakeTranslator(), ["a", "bb", "ccc"], ["<en>", "<ko>", "<en>"], beam=10)  # type: ignore[arg-type]
    assert [int(units[0]) for units in found] == [11, 2, 13]


class HalfTranslator:
    """Knows the bitext's validation pairs into English, and nothing else."""

    def __init__(self, bitext: Path) -> None:
        """Read them."""
        pairs = zip(*translator.read_pairs(bitext, "valid"), strict=True)
        self.known = {source: units_of(target) for source, target in pairs if target.endswith("[en]")}
        self.asked: list[str] = []

    def translate(self, sources: Sequence[str], *, tag: str, beam: int) -> list[np.ndarray]:  # noqa: ARG002
        """The reference into English, one unit that no reference has into other languages."""
        self.asked += [tag] * len(sources)
        return [self.known[source] if tag == "[en]" else np.array([99]) for source in sources]


def test_untrained_directions_have_a_score_of_their_own(tmp_path: Path) -> None:
    """Trained and untrained directions are scored apart, each on up to the wanted number of sentences."""
    bitext = build_bitext(
        tmp_path, tags="utut", directions=("ko-en", "ko-es"), train_directions=("ko-en",), groups={**GROUPS, "valid": 6}
    )
    half = HalfTranslator(bitext)
    scores = translator.validate(half, bitext, sentences=4, beam=1)  # type: ignore[arg-type]
    assert scores == {"unit_bleu": pytest.approx(100.0), "zero_shot_unit_bleu": 0.0}
    assert half.asked == ["[en]"] * 4 + ["[es]"] * 4


def test_without_untrained_directions_there_is_one_score(tmp_path: Path) -> None:
    """Where every direction is trained, nothing is called zero-shot."""
    bitext = build_bitext(tmp_path, tags="utut", directions=("ko-en",))
    assert list(translator.validate(HalfTranslator(bitext), bitext, sentences=4, beam=1)) == ["unit_bleu"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("total", "most", "expected"), [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (3, 1, [0]), (0, 4, [])]
)
def test_a_sample_spreads_over_all(total: int, most: int, expected: list[int]) -> None:
    """Positions reach from the first to the last, none twice."""
    assert translator.spread(total, most) == expected


def test_loss_of_the_kept_checkpoint() -> None:
    """The last validation counts for the last checkpoint, the lowest for the best."""
    curves = [{"step": 1, "valid/loss": 3.0}, {"step": 2, "valid/loss": 2.0}, {"step": 3, "valid/loss": 2.5}]
    assert translator.valid_loss(curves, "last") == 2.5
    assert translator.valid_loss(curves, "best") == 2.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 9}, "width: expected an even multiple of heads"),
        ({"heads": 0}, "heads: expected at least 1"),
        ({"dropout": 1.0}, "dropout: expected 0 <= p < 1"),
    ],
)
def test_rules_of_the_architecture(changes: dict[str, object], message: str) -> None:
    """A shape that cannot be built is named."""
    with pytest.raises(ValueError, match=message):
        Architecture(**(architecture() | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"updates": 0}, "updates: expected at least 1"),
        ({"warmup_updates": 99}, r"warmup_updates: expected 0 <= n < updates \(8\), got 99"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0"),
        ({"label_smoothing": 1.0}, "label_smoothing: expected 0 <= p < 1"),
        ({"patience": 0}, "patience: expected at least 1 or null"),
    ],
)
def test_rules_of_the_optimisation(changes: dict[str, object], message: str) -> None:
    """A plan that cannot be followed is named."""
    with pytest.raises(ValueError, match=message):
        Optimisation(**(optimisation() | changes))  # type: ignore[arg-type]
