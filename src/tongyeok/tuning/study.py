"""A study in its database: begun once, opened by every worker, and never longer or shorter than it was meant to be.

Each trial of a study is a slot that is queued when the study begins, so that any number of workers takes exactly as
many as there are. A worker that dies leaves its slot running; when its heartbeat is overdue, whoever notices fails
that trial and queues it again with the values it had.
"""

import fcntl
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from tongyeok import config, workplace
from tongyeok.errors import ConfigError, TongyeokError
from tongyeok.runs import provenance
from tongyeok.tuning.dimension import Value
from tongyeok.tuning.space import Space

if TYPE_CHECKING:
    from sqlalchemy import Engine

RETRIES = 3  # of a trial whose worker died
GRACE = 3  # heartbeats that may be missing
PLAN = "plan"
SLOT = "queued"  # mark of all trials that are the study's
FIRST = "settings in force"  # mark of the trial that a study begins with
ATTEMPT = "attempt"  # a trial's number, noted by its worker; one that is tried again inherits that of the one before
SQLITE = "sqlite:///"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
OPEN = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What all workers of a study must agree on; it lies in the study itself.

    `params` are those in force when it began, `profile` what they were composed of where their file says so, `inputs`
    digests of what it reads, `code` that of ours, `run` its name for MLflow.
    """

    space: Space
    params: Mapping[str, Any]
    profile: str | None
    inputs: Mapping[str, str]
    code: str
    heartbeat_s: int
    run: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A study, its plan and its storage."""

    study: optuna.Study
    plan: Plan
    storage: RDBStorage

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in some states, or all, as they are in the database now."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    @property
    def first(self) -> FrozenTrial | None:
        """The finished trial of the settings in force; None until there is one."""
        found = [trial for trial in self.trials(TrialState.COMPLETE) if trial.user_attrs.get(FIRST)]
        return found[0] if found else None


def begin(url: str, name: str, *, plan: Plan, now: Mapping[str, Value]) -> Opened:
    """Begin a study, or go on with it: queue what is missing of its slots.

    Args:
        url: of the database, in SQLAlchemy's form.
        name: of the study.
        plan: what it is to do. More trials than it had may be asked for; all else must be as before.
        now: the settings in force; its first trial.

    Raises:
        ConfigError: there is another study of that name, or it was begun with other code.
        TongyeokError: the database cannot be reached.
    """
    with _one_at_a_time(url), reached(url):
        storage = _storage(url, heartbeat_s=plan.heartbeat_s)
        study = optuna.create_study(
            study_name=name, storage=storage, directions=plan.space.directions, load_if_exists=True
        )
        before = study.user_attrs.get(PLAN)
        if before is not None:
            kept = _read_plan(before)
            check_code(name, kept)
            _check_same(name, kept, plan)
            plan = Plan(**{**_fields(plan), "run": kept.run})
        study.set_user_attr(PLAN, _as_json(plan))
        opened = Opened(study=study, plan=plan, storage=storage)
        _queue(opened, now)
    return opened


def join(url: str, name: str, *, sampler_seed: int | None = None) -> Opened:
    """Open a study that was begun.

    Args:
        url: of the database.
        name: of the study.
        sampler_seed: of a worker's draws; None for those who draw none.

    Raises:
        TongyeokError: the database cannot be reached, or has no such study.
    """
    with reached(url):
        storage = _storage(url, heartbeat_s=None)
        try:
            attrs = optuna.load_study(study_name=name, storage=storage).user_attrs
            plan = _read_plan(attrs[PLAN])
        except KeyError:
            known = ", ".join(optuna.get_all_study_names(storage)) or "none"
            raise TongyeokError(
                f"no study {name!r} in {shown(url)}; it has: {known}; begin it with `tongyeok tune`"
            ) from None
        storage = _storage(url, heartbeat_s=plan.heartbeat_s)
        study = optuna.load_study(
            study_name=name, storage=storage, sampler=_sampler(plan.space, sampler_seed), pruner=_pruner(plan.space)
        )
    return Opened(study=study, plan=plan, storage=storage)


def new_plan(
    space: Space,
    params: Mapping[str, Any],
    inputs: Mapping[str, str],
    *,
    heartbeat_s: int,
    profile: str | None = None,
) -> Plan:
    """A plan for the code there is, with a fresh name for MLflow."""
    return Plan(
        space=space,
        params=params,
        profile=profile,
        inputs=inputs,
        code=workplace.code_digest(),
        heartbeat_s=heartbeat_s,
        run=provenance.unique(),
    )


def check_code(name: str, plan: Plan) -> None:
    """Make sure that this machine has the code that a study was begun with.

    Raises:
        ConfigError: it has other code, whose figures would not compare.
    """
    here = workplace.code_digest()
    if plan.code != here:
        raise ConfigError(
            f"study {name!r} was begun with other code, {plan.code}, this is {here}; give another --study, or check "
            "out the commit that it was begun with"
        )


def shown(url: str) -> str:
    """A database's address without its password."""
    before, at, host = url.rpartition("@")
    scheme, slashes, user = before.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{host}" if at else url


@contextmanager
def reached(url: str) -> Iterator[None]:
    """Turn what goes wrong with the database into one message.

    Raises:
        TongyeokError: it cannot be reached, or its driver is missing.
    """
    from sqlalchemy.exc import ArgumentError, DBAPIError  # noqa: PLC0415

    try:
        yield
    except ImportError as error:
        raise TongyeokError(
            f"{shown(url)}: {error}; install its driver: "
            "`pip install --constraint constraints.txt --editable '.[tune]'`"
        ) from None
    except (ArgumentError, DBAPIError, StorageInternalError) as error:
        told = error.__cause__ or error if isinstance(error, StorageInternalError) else error  # Optuna's says nothing
        reason = str(getattr(told, "orig", None) or told).strip().replace(url, shown(url))
        raise TongyeokError(f"{shown(url)}: the database of studies cannot be used: {reason}") from None


def _storage(url: str, *, heartbeat_s: int | None) -> RDBStorage:
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    local = url.startswith(SQLITE)
    if local:
        Path(url.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": 120}} if local else {"poolclass": NullPool},
            heartbeat_interval=heartbeat_s,
            grace_period=heartbeat_s and GRACE * heartbeat_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )
    if local:
        _lock_while_reading(storage.engine)
    return storage


def _lock_while_reading(engine: "Engine") -> None:
    """Let SQLite's transactions lock the database from their first statement on.

    Optuna reads whether a trial waits before it takes it. sqlite3 begins transactions only where something is written,
    so that two workers can both read that it waits. The recipe is SQLAlchemy's, of its SQLite page.
    """
    from sqlalchemy import event  # noqa: PLC0415

    event.listen(engine, "connect", lambda connection, _record: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    engine.dispose()  # connections that were made before


def _sampler(space: Space, seed: int | None) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(n_startup_trials=space.random_trials, seed=seed)


def _pruner(space: Space) -> optuna.pruners.BasePruner:
    rule = space.pruning
    if rule.startup_trials is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=rule.startup_trials, n_warmup_steps=rule.warmup_percent)


def _queue(opened: Opened, now: Mapping[str, Value]) -> None:
    """Queue interrupted trials again with their values, and fresh slots for what is still missing.

    However often a person interrupted a trial: `RETRIES` is for those that kill their workers.
    """
    study, trials = opened.study, opened.trials()
    retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        retry = RetryHeartbeatStaleTrialCallback()
    for trial in trials:
        if trial.state == TrialState.FAIL and trial.number not in retried and queued(trial):
            retry(study, trial)
    if not any(trial.user_attrs.get(FIRST) for trial in opened.trials(*FINISHED, *OPEN)):
        study.enqueue_trial(dict(now), user_attrs={SLOT: True, FIRST: True})
    there = len(opened.trials(*FINISHED, *OPEN))
    for _ in range(opened.plan.space.trials - there):
        study.enqueue_trial({}, user_attrs={SLOT: True})


def queued(trial: FrozenTrial | optuna.Trial) -> bool:
    """Whether a trial is one of the study's slots; Optuna makes others where a worker finds none waiting."""
    return bool(trial.user_attrs.get(SLOT))


def _check_same(name: str, before: Plan, now: Plan) -> None:
    changed = [
        field
        for field in ("params", "inputs", "heartbeat_s")
        if json.dumps(getattr(before, field), sort_keys=True) != json.dumps(getattr(now, field), sort_keys=True)
    ]
    spaces = [{**asdict(plan.space), "trials": None} for plan in (before, now)]
    changed += ["space"] if spaces[0] != spaces[1] else []
    if changed:
        raise ConfigError(
            f"study {name!r} was begun with other {', '.join(changed)}; give another --study, or go back to what it was"
        )
    if now.space.trials < before.space.trials:
        raise ConfigError(
            f"study {name!r} has {before.space.trials} trials; expected at least as many, got {now.space.trials}"
        )


def _fields(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in Plan.__slots__}


def _as_json(plan: Plan) -> str:
    return json.dumps({**_fields(plan), "space": asdict(plan.space)}, sort_keys=True)


def _read_plan(text: str) -> Plan:
    values = {"profile": None, "code": "of an earlier version", **json.loads(text)}
    return Plan(**{**values, "space": config.build(Space, values["space"], where="the study's space")})


@contextmanager
def _one_at_a_time(url: str) -> Iterator[None]:
    """Let one process of this machine at a time make the tables of a local database, and queue trials."""
    if not url.startswith(SQLITE):
        yield
        return
    path = Path(url.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def best(opened: Opened) -> Sequence[FrozenTrial]:
    """The best trial, or those of several objectives that no other trial beats in all; empty before one finished."""
    if not opened.trials(TrialState.COMPLETE):
        return []
    if len(opened.plan.space.figures) == 1:
        return [opened.study.best_trial]
    return sorted(opened.study.best_trials, key=lambda trial: trial.number)
