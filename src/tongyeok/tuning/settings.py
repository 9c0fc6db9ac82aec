"""From a trial's drawn values to whole parameters: those to promote, and the shorter ones that the trial trains by."""

import copy
from collections.abc import Mapping
from typing import Any

from tongyeok.tuning.dimension import Value
from tongyeok.tuning.space import Space, look_up, put, resolve

OPTIMISATION = "translator.optimisation"
BATCH = (f"{OPTIMISATION}.tokens_per_batch", f"{OPTIMISATION}.batches_per_update")
UPDATES, WARMUP, VALIDATE = f"{OPTIMISATION}.updates", f"{OPTIMISATION}.warmup_updates", "translator.validate_every"


def to_promote(params: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Value]:
    """The drawn settings, and those that follow from them.

    Where the size of the translator's batches is varied, its updates and validations change so that it sees as many
    tokens as before: otherwise larger batches would win by costing more.
    """
    chosen = dict(values)
    if any(name in values for name in BATCH) and UPDATES not in values:
        before, after = 1.0, 1.0
        for name in BATCH:
            before *= look_up(params, name)
            after *= float(values.get(name, look_up(params, name)) or 1)
        for name in (UPDATES, VALIDATE):
            chosen[name] = max(1, round(look_up(params, name) * before / after))
    return chosen


def of_trial(space: Space, params: Mapping[str, Any], chosen: Mapping[str, Value]) -> dict[str, Any]:
    """Whole parameters of a trial: `params` with the chosen settings, the space's fixed ones, and short trainings.

    Args:
        space: tells the share of the translator's updates that a trial trains.
        params: as they stand in `params.yaml`.
        chosen: what `to_promote` gave.
    """
    made = copy.deepcopy(dict(params))
    for name, value in chosen.items():
        put(made, name, value)
    if space.training_share < 1:
        for name in (UPDATES, WARMUP, VALIDATE):
            put(made, name, max(int(name != WARMUP), round(space.training_share * look_up(made, name))))
    for name, value in space.fixed.items():
        put(made, resolve(name, params["flow"]["last"]), value)
    return made
