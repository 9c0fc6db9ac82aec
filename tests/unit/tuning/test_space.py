"""Search spaces: read strictly, and checked against the parameters before anything is made."""

from pathlib import Path
from typing import Any

import pytest

from architecture.closure import ROOT
from tongyeok import config
from tongyeok.errors import ConfigError
from tongyeok.tuning import space
from tongyeok.verbs import params
from unit.tuning import world


@pytest.mark.parametrize("name", space.known(ROOT / "conf"))
def test_every_space_fits_the_demo(name: str) -> None:
    """Each file of conf/tune is read, holds the demo's settings, and its extremes obey the stages' rules."""
    found = space.read_space(ROOT / "conf", name)
    now = space.check(found, params.compose(ROOT / "conf", "demo"), where=name)
    assert list(now) == list(found.resolved("1"))
    assert found.trials >= 12
    assert name.partition("-")[0] == found.kind


def test_last_stands_for_the_last_iteration() -> None:
    """`kmeans.last` is the last codebook, wherever the flow ends; earlier ones, or HuBERT itself, retrain HuBERT."""
    found = config.build(space.Space, world.UNIT_SPACE, where="s")
    assert list(found.resolved("3")) == ["kmeans.3.clusters", "units.switch_penalty"]
    assert not found.retrains("3")
    for name in ("kmeans.0.clusters", "labels.0.switch_penalty", "hubert.1.updates"):
        changed = {**world.UNIT_SPACE, "dimensions": {name: {"low": 1, "high": 9}}}
        assert config.build(space.Space, changed, where="s").retrains("1")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trails": 3}, "unknown field `trails`"),
        ({"trials": 0}, "trials: expected at least 1, got 0"),
        ({"figures": ["unit_bleu"]}, "figures: expected some of resynthesis_wer, resynthesis_cer"),
        ({"figures": []}, "figures: expected at least one, each once, got []"),
        ({"dimensions": {}}, "dimensions: expected at least one, got none"),
        ({"dimensions": {"vocoder.updates": {"low": 1, "high": 2}}}, "hubert, units, got vocoder"),
        ({"fixed": {"units.switch_penalty": 1.0}}, "fixed: units.switch_penalty stands in `dimensions` too"),
        ({"training_share": 0.0}, "training_share: expected 0 < share <= 1"),
        (
            {"figures": ["asr_bleu"], "pruning": {"pnmi_share": None, "startup_trials": 4, "warmup_percent": 0}},
            "pruning.startup_trials: expected null where translation judges units",
        ),
        ({"pruning": {"pnmi_share": 2.0, "startup_trials": 1, "warmup_percent": 0}}, "pnmi_share: expected 0 < share"),
    ],
)
def test_a_broken_space_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    """Unknown fields, unknown figures and broken rules are named with the file."""
    with pytest.raises(ConfigError) as caught:
        world.write_space(tmp_path, world.UNIT_SPACE, **changes)
    assert told in str(caught.value)
    assert "conf/tune/toy.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("dimensions", "fixed", "told"),
    [
        ({"kmeans.last.clusters": {"choices": [8, 9]}}, {}, "holds the setting in force, 6, got 8 | 9"),
        ({"kmeans.last.cluster": {"choices": [8, 9]}}, {}, "kmeans.1.cluster: no such setting"),
        (
            {"kmeans.last.clusters": {"choices": [6, 900]}},
            {},
            "kmeans.1.clusters=900: field `section`: Value error, init_frames: ",
        ),
        ({"kmeans.last.clusters": {"choices": [6, 7]}}, {"vocoder.update": 1}, "vocoder.update: no such setting"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(dimensions: dict[str, Any], fixed: dict[str, Any], told: str) -> None:
    """Settings must exist, the present ones lie in their ranges, and every extreme obey the stage's rules."""
    found = config.build(space.Space, {**world.UNIT_SPACE, "dimensions": dimensions, "fixed": fixed}, where="s")
    with pytest.raises(ConfigError) as caught:
        space.check(found, world.UNIT_PARAMS, where="conf/tune/s.yaml")
    assert "conf/tune/s.yaml does not fit the parameters" in str(caught.value)
    assert told in str(caught.value)


def test_an_unknown_space_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """The message lists what there is."""
    world.write_space(tmp_path, world.UNIT_SPACE)
    with pytest.raises(ConfigError, match=r"other\.yaml: no such search space; there are: toy"):
        space.read_space(tmp_path / "conf", "other")
