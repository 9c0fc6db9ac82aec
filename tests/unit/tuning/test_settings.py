"""From drawn values to whole parameters."""

from typing import Any

from tongyeok import config
from tongyeok.tuning import settings
from tongyeok.tuning.space import Space
from unit.tuning import world

BATCH = "translator.optimisation.tokens_per_batch"


def space(**changes: Any) -> Space:
    return config.build(Space, {**world.TRANSLATOR_SPACE, **changes}, where="s")


def test_all_trials_see_as_many_tokens() -> None:
    """Batches twice as large bring half the updates, and half the updates between validations."""
    chosen = settings.to_promote(world.TRANSLATOR_PARAMS, {BATCH: 400})
    assert chosen == {BATCH: 400, "translator.optimisation.updates": 4, "translator.validate_every": 2}
    assert settings.to_promote(world.TRANSLATOR_PARAMS, {"bitext.tags": "utut"}) == {"bitext.tags": "utut"}


def test_a_trial_trains_a_share_of_the_updates() -> None:
    """Updates, warm-up and validations shrink alike; what is promoted keeps its full length; `params` stay."""
    made = settings.of_trial(space(), world.TRANSLATOR_PARAMS, {"translator.optimisation.warmup_updates": 4})
    assert made["translator"]["optimisation"]["updates"] == 4
    assert made["translator"]["optimisation"]["warmup_updates"] == 2
    assert made["translator"]["validate_every"] == 2
    assert world.TRANSLATOR_PARAMS["translator"]["optimisation"]["updates"] == 8


def test_fixed_settings_are_those_of_every_trial() -> None:
    """They come last, with `last` resolved."""
    values = {**world.UNIT_SPACE, "fixed": {"kmeans.last.seed": 7, "vocoder.updates": 1}}
    made = settings.of_trial(config.build(Space, values, where="s"), world.UNIT_PARAMS, {"units.switch_penalty": 1.0})
    assert (made["kmeans"]["1"]["seed"], made["vocoder"]["updates"]) == (7, 1)
    assert made["units"]["switch_penalty"] == 1.0
