"""A worker: takes trial after trial of a study until none is left, and takes over those of workers that died.

It is a command, `tongyeok tune worker`, so that anything can place it: a shell on another machine, Slurm, Ray.
"""

import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import TrialState

from tongyeok.tuning.study import ATTEMPT, GRACE, Opened, queued

LONGEST_PAUSE_S = 10.0


def work(opened: Opened, objective: Callable[[optuna.Trial], float | Sequence[float]]) -> int:
    """Run trials one after the other while any waits, or runs elsewhere and might have to be tried again.

    Returns:
        How many trials this worker brought to an end.

    Raises:
        TongyeokError: a trial could not be made, for a reason that is not its settings'; it waits for the study to be
            begun again.
    """
    done = 0
    pause = min(LONGEST_PAUSE_S, opened.plan.heartbeat_s)
    while True:
        _fail_stale(opened)
        if opened.trials(TrialState.WAITING):
            done += _one(opened, objective)
        elif opened.trials(TrialState.RUNNING):
            time.sleep(pause)
        else:
            return done


def seed_of(space_seed: int, worker: str, finished: int) -> int:
    """A seed of a worker's draws: its own, and another one when it comes back to a study that went on meanwhile."""
    digest = hashlib.sha256(f"{space_seed}:{worker}:{finished}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _one(opened: Opened, objective: Callable[[optuna.Trial], float | Sequence[float]]) -> int:
    """Run the next waiting trial; 0 where somebody else took it first, or meanwhile."""
    taken: list[int] = []
    overtaken = False

    def guarded(trial: optuna.Trial) -> Any:  # noqa: ANN401  what the objective gives
        # Optuna makes a new trial where no waiting one is left: it is none of the study's, whose trials are all queued.
        if not queued(trial):
            raise _SurplusError
        nonlocal overtaken
        taken.append(trial.number)
        try:
            return objective(trial)
        finally:
            overtaken = opened.trials()[trial.number].state != TrialState.RUNNING

    try:
        opened.study.optimize(guarded, n_trials=1, catch=(_SurplusError,))
    except Exception as error:
        if not overtaken and not isinstance(error, UpdateFinishedTrialError):
            raise
        print(
            f"trial {taken[0]} was given to another worker: no heartbeat of it arrived for "
            f"{GRACE * opened.plan.heartbeat_s} s; what it made is kept",
            file=sys.stderr,
        )
        return 0
    return len(taken)


class _SurplusError(Exception):
    """A trial that Optuna made beyond the queue, in a race of two workers for the last one."""


def _fail_stale(opened: Opened) -> None:
    """Fail the trials of dead workers, which queues them again; also those whose worker died before its first beat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(opened.study)
    overdue = datetime.now() - timedelta(seconds=GRACE * opened.plan.heartbeat_s)  # noqa: DTZ005  as Optuna stores it
    for trial in opened.trials(TrialState.RUNNING):
        silent = trial.user_attrs.get(ATTEMPT) != trial.number
        if silent and trial.datetime_start is not None and trial.datetime_start < overdue:
            _queue_again(opened, trial)


def _queue_again(opened: Opened, trial: optuna.trial.FrozenTrial) -> None:
    try:
        opened.study.tell(trial.number, state=TrialState.FAIL)
    except (UpdateFinishedTrialError, ValueError):
        return  # another worker was faster
    retry = opened.storage.get_heartbeat_stale_trial_callback()
    assert retry is not None
    retry(opened.study, opened.study.trials[trial.number])
