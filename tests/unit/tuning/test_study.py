"""Studies in their database, and workers that take exactly their trials."""

import json
import multiprocessing
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tongyeok import config
from tongyeok.errors import ConfigError, TongyeokError
from tongyeok.tuning import study, worker
from tongyeok.tuning.space import Space
from tongyeok.tuning.study import Opened, Plan
from unit.tuning import world

NOW = {"kmeans.1.clusters": 6, "units.switch_penalty": 0.5}


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    world.quiet()
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'below/studies.db'}"


def plan(*, heartbeat_s: int = 1, **changes: object) -> Plan:
    space = config.build(Space, {**world.UNIT_SPACE, **changes}, where="s")
    return study.new_plan(space, world.UNIT_PARAMS, {"corpus": "0" * 16}, heartbeat_s=heartbeat_s)


def begin(url: str, *, heartbeat_s: int = 1, **changes: object) -> Opened:
    study.begin(url, "s", plan=plan(heartbeat_s=heartbeat_s, **changes), now=NOW)
    return study.join(url, "s", sampler_seed=1)


def judged(trial: optuna.Trial) -> float:
    """A cheap objective with the space's own dimensions."""
    trial.set_user_attr("worker", "test")
    trial.set_user_attr(study.ATTEMPT, trial.number)
    return trial.suggest_categorical("kmeans.1.clusters", [4, 6, 8]) + trial.suggest_float(
        "units.switch_penalty", 0.0, 1.0, step=0.5
    )


def test_a_study_has_exactly_its_trials(url: str) -> None:
    """The first is the settings in force; a second worker finds nothing left."""
    opened = begin(url, trials=4)
    assert worker.work(opened, judged) == 4
    assert worker.work(opened, judged) == 0
    assert world.states(opened) == {"COMPLETE": 4}
    assert opened.first is not None
    assert opened.first.params == NOW


def test_a_trial_is_taken_once(url: str, tmp_path: Path) -> None:
    """Processes that race for the trials of a local study evaluate each exactly once."""
    opened = begin(url, heartbeat_s=60, trials=30, random_trials=30)
    fork = multiprocessing.get_context("fork")  # Optuna is imported already
    racers = [fork.Process(target=race, args=(url, tmp_path / str(number))) for number in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(timeout=120)
    assert [racer.exitcode for racer in racers] == [0] * 3
    taken = [int(line) for number in range(3) for line in (tmp_path / str(number)).read_text().split()]
    assert sorted(taken) == [trial.number for trial in opened.trials(TrialState.COMPLETE)]
    assert len(taken) == 30


def race(url: str, noted: Path) -> None:
    """Take trials until none is left, and note their numbers."""
    noted.touch()

    def evaluated(trial: optuna.Trial) -> float:
        with noted.open("a") as file:
            file.write(f"{trial.number}\n")
        return 0.0

    worker.work(study.join(url, "s", sampler_seed=1), evaluated)


def test_begun_again_it_goes_on(url: str) -> None:
    """Nothing finished is done again; an interrupted trial is tried again with its values; more may be asked for."""
    opened = begin(url, trials=3)
    drawn: list[dict[str, object]] = []

    def interrupted(trial: optuna.Trial) -> float:
        value = judged(trial)
        if trial.number == 1:
            drawn.append(trial.params)
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        worker.work(opened, interrupted)
    opened = begin(url, trials=5)
    assert worker.work(opened, judged) == 4
    assert world.states(opened) == {"COMPLETE": 5, "FAIL": 1}
    (again,) = [trial for trial in opened.trials() if trial.system_attrs.get("failed_trial") == 1]
    assert again.params == drawn[0]
    assert begin(url, trials=5).trials(TrialState.WAITING) == []


def test_interruptions_are_not_counted(url: str) -> None:
    """A trial that a person interrupted more often than workers may die is still tried again."""

    def interrupted(_trial: optuna.Trial) -> float:
        raise KeyboardInterrupt

    times = study.RETRIES + 2
    for _ in range(times):
        with pytest.raises(KeyboardInterrupt):
            worker.work(begin(url, trials=1), interrupted)
    opened = begin(url, trials=1)
    assert worker.work(opened, judged) == 1
    assert world.states(opened) == {"COMPLETE": 1, "FAIL": times}
    assert opened.first is not None
    assert opened.first.params == NOW


def test_settings_in_force_are_always_judged(url: str) -> None:
    """A study whose first trial is gone for good begins with the settings in force again."""
    opened = begin(url, trials=1)
    (trial,) = opened.trials()
    opened.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    opened.study.add_trial(optuna.create_trial(state=TrialState.FAIL, system_attrs={"retry_history": [0]}))
    opened = begin(url, trials=1)
    assert worker.work(opened, judged) == 1
    assert opened.first is not None
    assert opened.first.params == NOW


def test_a_dead_workers_trial_is_tried_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its heartbeat overdue, it fails and is queued with the same values; so does one that never had a heartbeat."""
    opened = begin(url, trials=2)
    with pytest.warns(UserWarning, match="Heartbeat of storage"):
        trial, silent = opened.study.ask(), opened.study.ask()  # the second worker died before it said a word
    judged(trial)
    opened.storage.record_heartbeat(trial._trial_id)
    monkeypatch.setattr(opened.storage, "_get_stale_trial_ids", lambda _study: [trial._trial_id])
    pass_a_minute(monkeypatch)
    worker._fail_stale(opened)
    monkeypatch.undo()
    assert worker.work(opened, judged) == 2
    assert world.states(opened) == {"COMPLETE": 2, "FAIL": 2}
    retried = {row.system_attrs["failed_trial"]: row.params for row in opened.trials(TrialState.COMPLETE)}
    assert set(retried) == {trial.number, silent.number}
    assert retried[trial.number] == trial.params


def test_silence_is_noticed_in_every_attempt(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that is tried again, whose second worker dies before a word, is not lost by what it inherits."""
    opened = begin(url, trials=1)

    def interrupted(trial: optuna.Trial) -> float:
        judged(trial)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.work(opened, interrupted)
    opened = begin(url, trials=1)
    with pytest.warns(UserWarning, match="Heartbeat of storage"):
        again = opened.study.ask()
    assert again.user_attrs["worker"] == "test"
    with monkeypatch.context() as patch:
        pass_a_minute(patch)
        worker._fail_stale(opened)
    assert worker.work(opened, judged) == 1
    assert world.states(opened) == {"COMPLETE": 1, "FAIL": 2}


def pass_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock of workers be ahead."""
    later = datetime.now() + timedelta(seconds=60)  # noqa: DTZ005

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003
            return later

    monkeypatch.setattr(worker, "datetime", Clock)


def test_a_trial_beyond_the_queue_is_not_run(url: str) -> None:
    """Two workers that race for the last trial: the loser's surplus one fails unjudged and is never queued again."""
    opened = begin(url, trials=1)
    assert worker.work(opened, judged) == 1
    assert worker._one(opened, judged) == 0
    assert world.states(begin(url, trials=1)) == {"COMPLETE": 1, "FAIL": 1}


def test_an_overtaken_worker_gives_way(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A trial that was failed meanwhile is not told; the worker says so and goes on."""
    opened = begin(url, trials=1)

    def overtaken(trial: optuna.Trial) -> float:
        opened.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return judged(trial)

    assert worker._one(opened, overtaken) == 0
    assert "was given to another worker: no heartbeat of it arrived for 3 s" in capsys.readouterr().err


def test_other_settings_need_another_study(url: str) -> None:
    """What changed is named; fewer trials than before are refused."""
    begin(url, trials=3)
    with pytest.raises(ConfigError, match=r"study 's' was begun with other space; give another --study"):
        begin(url, seed=2)
    with pytest.raises(ConfigError, match="has 3 trials; expected at least as many, got 2"):
        begin(url, trials=2)


def test_other_code_needs_another_study(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that changed since is told from the study's own, as is a study that did not note it."""
    opened = begin(url)
    study.check_code("s", opened.plan)
    monkeypatch.setattr("tongyeok.workplace.CODE", (Path(__file__),))
    told = f"study 's' was begun with other code, {opened.plan.code}, this is .*; give another --study, or check out"
    with pytest.raises(ConfigError, match=told):
        begin(url)
    with pytest.raises(ConfigError, match=told):
        study.check_code("s", study.join(url, "s").plan)
    kept = json.loads(opened.study.user_attrs[study.PLAN])
    opened.study.set_user_attr(study.PLAN, json.dumps({name: kept[name] for name in kept if name != "code"}))
    with pytest.raises(ConfigError, match="begun with other code, of an earlier version, this is"):
        begin(url)


def test_the_plan_lies_in_the_study(url: str) -> None:
    """Whoever joins gets the space, the parameters, the inputs and MLflow's run that it was begun with."""
    first, second = begin(url).plan, begin(url).plan
    assert first.run == second.run
    assert json.dumps(first.params, sort_keys=True) == json.dumps(world.UNIT_PARAMS, sort_keys=True)
    assert first.space == plan().space


def test_unknown_studies_and_databases_are_named(url: str) -> None:
    """A study that is not there is answered with those that are; an address is shown without its password."""
    begin(url)
    with pytest.raises(TongyeokError, match=r"no study 'other' in .*; it has: s; begin it with"):
        study.join(url, "other")
    with pytest.raises(TongyeokError, match="cannot be used") as caught:
        study.join("postgresql://me:secret@127.0.0.1:1/nothing?connect_timeout=2", "s")
    assert "secret" not in str(caught.value)
    assert "postgresql://me@127.0.0.1:1" in str(caught.value)


def test_a_lost_database_is_one_message(url: str) -> None:
    """What Optuna wraps on the way is told with its reason."""
    opened = begin(url)
    Path(url.removeprefix("sqlite:///")).write_bytes(b"no database at all" * 100)
    with pytest.raises(TongyeokError, match="cannot be used: file is not a database"), study.reached(url):
        worker.work(opened, judged)


def test_draws_of_workers_differ() -> None:
    """Each worker has a seed of its own, and another one when it comes back later."""
    seeds = {worker.seed_of(1, name, finished) for name in ("0", "1") for finished in (0, 5)}
    assert len(seeds) == 4
    assert worker.seed_of(1, "0", 0) == worker.seed_of(1, "0", 0)
