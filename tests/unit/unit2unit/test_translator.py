"""The stage `translator`, without training."""

from collections.abc import Sequence

import numpy as np
import pytest

from tongyeok.engine.translation import Architecture, Optimisation
from tongyeok.unit2unit import translator
from unit.unit2unit.toy_training import architecture, optimisation


class FakeTranslator:
    """Answers with the length of each source."""

    def translate(self, sources: Sequence[str], *, tag: str, beam: int) -> list[np.ndarray]:
        """One unit a sentence: its length; plus the beam for English."""
        return [np.array([len(source) + beam * (tag == "<en>")]) for source in sources]


def test_translations_keep_their_order() -> None:
    """Sentences are translated tag by tag and come back in the order given."""
    found = translator.translate_all(FakeTranslator(), ["a", "bb", "ccc"], ["<en>", "<ko>", "<en>"], beam=10)  # type: ignore[arg-type]
    assert [int(units[0]) for units in found] == [11, 2, 13]


def test_units_of_a_sentence() -> None:
    """The tag is taken off."""
    assert translator.units_of("<en> 5 0 11").tolist() == [5, 0, 11]


@pytest.mark.parametrize(("total", "most", "expected"), [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (3, 1, [0])])
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
