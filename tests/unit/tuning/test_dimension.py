"""One searched setting."""

import pytest
from optuna.trial import FixedTrial

from tongyeok import config
from tongyeok.errors import ConfigError
from tongyeok.tuning.dimension import Dimension


@pytest.mark.parametrize(
    ("values", "inside", "outside"),
    [
        ({"choices": ["prefix", None, 3]}, ["prefix", None, 3], ["utut", 4]),
        ({"low": 1, "high": 7, "step": 2}, [1, 3, 7], [2, 0, 9, 3.0, True]),
        ({"low": 0.0, "high": 4.0, "step": 0.1}, [0.0, 0.3, 2.5, 4.0, 4], [4.05, 2.55, -0.1, "2"]),
        ({"low": 0.001, "high": 0.1, "log": True}, [0.001, 0.05], [0.0, 0.11]),
    ],
)
def test_holds_what_can_be_drawn(values: dict[str, object], inside: list[object], outside: list[object]) -> None:
    """Choices, whole steps, steps and continuous ranges hold what lies on them and nothing else."""
    dimension = config.build(Dimension, values, where="d")
    assert [dimension.holds(value) for value in inside] == [True] * len(inside)
    assert [dimension.holds(value) for value in outside] == [False] * len(outside)


def test_drawn_numbers_are_short() -> None:
    """A person can read and type what is drawn: four digits, and steps without the dust of binary fractions."""
    steps = config.build(Dimension, {"low": 0.0, "high": 0.2, "step": 0.05}, where="d")
    rate = config.build(Dimension, {"low": 0.001, "high": 0.02, "log": True}, where="d")
    drawn = {"dropout": 0.15000000000000002, "rate": 0.0083005657949}
    trial = FixedTrial(drawn)
    assert [steps.suggest(trial, "dropout"), rate.suggest(trial, "rate")] == [0.15, 0.008301]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "expected `choices`, or low < high, got low None and high None"),
        ({"low": 2, "high": 2}, "low < high, got low 2 and high 2"),
        ({"choices": [1, 1]}, "expected at least two different ones"),
        ({"choices": [1, 2], "low": 1}, "expected nothing beside them, got a range too"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low: expected more than 0 on a logarithmic scale"),
        ({"low": 1.0, "high": 2.0, "step": 0.1, "log": True}, "step: expected more than 0 and no `log` beside it"),
        ({"low": 1, "hihg": 2}, "unknown field `hihg`"),
    ],
)
def test_mistakes(values: dict[str, object], told: str) -> None:
    """A mistake is named."""
    with pytest.raises(ConfigError) as caught:
        config.build(Dimension, values, where="d")
    assert told in str(caught.value)
