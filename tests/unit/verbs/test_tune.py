"""The verb `tune`: studies by command, promotion into conf/, and the report."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from architecture.closure import ROOT
from tongyeok.__main__ import main
from tongyeok.errors import TongyeokError
from tongyeok.tuning import space, study, worker
from tongyeok.verbs import params as params_verb
from unit.tuning import world

BEGIN = ["tune", "translator", "--space", "toy"]
FAST = {"trials": 2, "dimensions": {"translator.optimisation.learning_rate": {"low": 0.001, "high": 0.02, "log": True}}}


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    world.quiet()
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with units of digits and a space; the current directory."""
    world.units(tmp_path)
    world.write_space(tmp_path, world.TRANSLATOR_SPACE, **FAST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the demo's conf/ and params.yaml, and a finished study of its units, judged by a formula."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    assert main(["params"]) == 0
    found = space.read_space(tmp_path / "conf", "units")
    params = params_verb.compose(tmp_path / "conf", "demo")
    begin(found, params)
    return tmp_path


def begin(found: space.Space, params: dict[str, Any], *, name: str = "units") -> None:
    """Judge a study's trials by how far they are from 500 clusters without a penalty."""
    url = "sqlite:///.tongyeok/tune/studies.db"
    plan = study.new_plan(found, params, {}, heartbeat_s=60, profile="demo")
    study.begin(url, name, plan=plan, now=space.check(found, params, where="s"))
    opened = study.join(url, name, sampler_seed=1)

    def judged(trial: optuna.Trial) -> float | list[float]:
        drawn = {each: dimension.suggest(trial, each) for each, dimension in found.resolved("1").items()}
        trial.set_user_attr("settings", drawn)
        trial.set_user_attr("minutes", 1.0)
        trial.set_user_attr("threads", 1 + trial.number % 2)
        error = abs(int(str(drawn["kmeans.1.clusters"])) - 500) + float(str(drawn["units.switch_penalty"]))
        return error if len(found.figures) == 1 else [error, float(trial.number)]

    worker.work(opened, judged)


def test_a_study_by_command(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two workers, each a process, make exactly the trials; begun again it makes only those that were added."""
    assert main([*BEGIN, "--workers", "2"]) == 0
    printed = capfd.readouterr().out
    assert "study toy: 0 of 2 trials are done, 2 to go" in printed
    assert "none is left" in printed
    opened = study.join("sqlite:///.tongyeok/tune/studies.db", "toy")
    assert world.states(opened) == {"COMPLETE": 2}
    assert main([*BEGIN, "--trials", "3"]) == 0
    assert "study toy: 2 of 3 trials are done, 1 to go" in capfd.readouterr().out
    assert world.states(opened) == {"COMPLETE": 3}
    report = (project / ".tongyeok/tune/toy/report/report.md").read_text()
    assert report.count("\n| ") == 4
    assert "in force" in report


def test_workers_are_refused_other_inputs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker whose outputs differ from those that the study was begun with says so and takes no trial."""
    assert main([*BEGIN, "--workers", "0"]) == 0
    (project / "outputs/units/ko.tsv").write_text("something else")
    assert main(["tune", "worker", "--study", "toy"]) == 2
    assert "outputs/units: expected the units that the study was begun with" in capsys.readouterr().err
    assert world.states(study.join("sqlite:///.tongyeok/tune/studies.db", "toy")) == {"WAITING": 2}


def test_workers_are_refused_other_code(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker whose code differs from what the study was begun with says so and takes no trial."""
    found = space.read_space(project / "conf", "toy")
    params = yaml.safe_load((project / "params.yaml").read_text())
    plan = dataclasses.replace(study.new_plan(found, params, {}, heartbeat_s=60), code="another")
    url = "sqlite:///.tongyeok/tune/studies.db"
    study.begin(url, "toy", plan=plan, now=space.check(found, params, where="s"))
    assert main(["tune", "worker", "--study", "toy"]) == 2
    assert "study 'toy' was begun with other code, another, this is" in capsys.readouterr().err
    assert world.states(study.join(url, "toy")) == {"WAITING": 2}


def test_promotion_is_a_small_diff(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best trial's settings, and nothing else, change in conf/ and params.yaml, which agree; comments stay."""
    before = {path: path.read_text() for path in studied.glob("conf/*/*.yaml")}
    old = yaml.safe_load((studied / "params.yaml").read_text())
    assert main(["tune", "promote", "--study", "units", "--check"]) == 0
    checked = capsys.readouterr().out
    assert all(path.read_text() == text for path, text in before.items())
    assert main(["tune", "promote", "--study", "units"]) == 0
    assert capsys.readouterr().out == checked
    assert main(["params", "--check"]) == 0
    best = study.best(study.join("sqlite:///.tongyeok/tune/studies.db", "units"))[0].params
    new = yaml.safe_load((studied / "params.yaml").read_text())
    for name, value in best.items():
        assert space.look_up(new, name) == value
        space.put(new, name, space.look_up(old, name))
    assert new == old
    changed = [path for path, text in before.items() if path.read_text() != text]
    assert {path.relative_to(studied).as_posix() for path in changed} <= {
        "conf/kmeans/demo.yaml",
        "conf/units/demo.yaml",
    }
    assert changed
    for path in changed:
        pairs = zip(before[path].splitlines(), path.read_text().splitlines(), strict=True)
        assert all(was.split(":")[0] == now.split(":")[0] for was, now in pairs if was != now)
    capsys.readouterr()
    assert main(["tune", "promote", "--study", "units"]) == 0
    again = capsys.readouterr()
    assert again.out == ""
    assert re.fullmatch(r"trial \d+ is what is in force; nothing to promote\n", again.err)


@pytest.mark.usefixtures("studied")
def test_other_profiles_that_change_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A profile that takes the files written to, and none beside it, is said to change."""
    opened = study.join("sqlite:///.tongyeok/tune/studies.db", "units")
    then = opened.trials()[0].params["kmeans.1.layer"]
    number = next(trial.number for trial in opened.trials() if trial.params["kmeans.1.layer"] != then)
    assert main(["tune", "promote", "--study", "units", "--trial", str(number)]) == 0
    assert capsys.readouterr().err == "also changes profile prompts, which takes files of demo\n"


def test_what_does_not_take_effect_is_not_written(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that conf/ sets elsewhere, too, is named, and all files are as before."""
    with (studied / "conf/demo.yaml").open("a") as file:
        file.write('  - _self_\nkmeans:\n  "1":\n    clusters: 100\n')
    assert main(["params"]) == 0
    before = {path: path.read_text() for path in [*studied.glob("conf/**/*.yaml"), studied / "params.yaml"]}
    assert main(["tune", "promote", "--study", "units"]) == 2
    assert re.search(
        r"kmeans\.1\.clusters: \d+ in conf/kmeans/demo\.yaml would not take effect, 100 is composed",
        capsys.readouterr().err,
    )
    assert all(path.read_text() == text for path, text in before.items())


@pytest.mark.parametrize(
    ("words", "other"),
    [
        (["corpus.source.voices.ko.rate_wpm=170"], "corpus"),
        (["--profile", "mine"], "profile (demo)"),
        (["--profile", "prompts"], "profile (demo), corpus"),
    ],
)
def test_another_project_is_refused(
    studied: Path, capsys: pytest.CaptureFixture[str], words: list[str], other: str
) -> None:
    """What was found for one profile and corpus is not promoted into another."""
    shutil.copyfile(studied / "conf/demo.yaml", studied / "conf/mine.yaml")
    assert main(["params", *words]) == 0
    assert main(["tune", "promote", "--study", "units"]) == 2
    assert f"study 'units' was begun with another {other} than params.yaml has" in capsys.readouterr().err


def test_another_trial_can_be_promoted(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--trial 0` brings back the settings that the study began with; an unknown trial is answered with the known."""
    untouched = (studied / "params.yaml").read_text()
    assert main(["tune", "promote", "--study", "units"]) == 0
    assert main(["tune", "promote", "--study", "units", "--trial", "0"]) == 0
    assert (studied / "params.yaml").read_text() == untouched
    assert main(["tune", "promote", "--study", "units", "--trial", "99"]) == 2
    assert "--trial 99: expected a finished trial (0, 1, 2" in capsys.readouterr().err


def test_several_best_trials_need_a_choice(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With several figures a person says which trial."""
    begin(
        space.read_space(studied / "conf", "units-multi"), params_verb.compose(studied / "conf", "demo"), name="multi"
    )
    assert main(["tune", "promote", "--study", "multi"]) == 2
    assert "--trial: expected one of the trials that no other beats in all figures: 0" in capsys.readouterr().err
    assert main(["tune", "report", "--study", "multi"]) == 0
    pictures = {path.stem for path in (studied / ".tongyeok/tune/multi/report/plots").glob("*.png")}
    assert {"pareto", "history_resynthesis_wer", "parallel_units_per_second", "importance_resynthesis_wer"} <= pictures


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["kmeans.1.clusters=200"],
            "kmeans.1.clusters=200: params.yaml was composed with this override, which would hide",
        ),
        (["kmeans=toy"], "kmeans: profile 'demo' takes it from conf/kmeans/toy.yaml, which others use"),
    ],
)
def test_what_would_not_take_effect_is_refused(
    studied: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], told: str
) -> None:
    """Overrides that hide a setting, and groups that other profiles use, are named; nothing is written."""
    assert main(["params", *overrides]) == 0
    before = {path: path.read_text() for path in [*studied.glob("conf/*/*.yaml"), studied / "params.yaml"]}
    assert main(["tune", "promote", "--study", "units"]) == 2
    assert told in capsys.readouterr().err
    assert all(path.read_text() == text for path, text in before.items())


def test_edited_params_are_not_overwritten(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A params.yaml that conf/ does not compose is left to its author."""
    text = (studied / "params.yaml").read_text()
    (studied / "params.yaml").write_text(text.replace("switch_penalty: 2.5", "switch_penalty: 2.0"))
    assert main(["tune", "promote", "--study", "units"]) == 2
    assert "params.yaml: not what conf composes" in capsys.readouterr().err


def test_the_report(studied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It tells what the settings in force gave and what the best trial did, and draws three pictures, offline."""
    assert main(["tune", "report", "--study", "units"]) == 0
    printed = capsys.readouterr().out
    folder = studied / ".tongyeok/tune/units/report"
    assert (folder / "report.md").read_text() == printed[:-1]
    assert "where the settings in force have" in printed
    assert "- trials ran with 1 and 2 threads, on which last bits and speed depend" in printed
    assert {path.name for path in (folder / "plots").iterdir()} == {"history.png", "parallel.png", "importance.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "plots").iterdir())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["trials/complete"] == 12
    assert metrics["resynthesis_wer"] <= metrics["in_force/resynthesis_wer"] == 402.5
    assert len(json.loads((folder / "trials.json").read_text())) == 12


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["translator", "--space", "none"], "no such search space; there are: toy"),
        (["units", "--space", "toy"], "a space of translator; give it to `tongyeok tune translator`"),
        ([*BEGIN[1:], "--workers", "-1"], "expected --workers of 0 or more"),
        (["worker", "--study", "toy", "--threads", "0"], "--threads: expected 1 or more, got 0"),
        (["worker", "--study", "none"], "no study 'none' in sqlite:///"),
    ],
)
@pytest.mark.usefixtures("project")
def test_mistakes(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    """A mistake gets one message."""
    assert main(["tune", *words]) == 2
    assert told in capsys.readouterr().err


def test_too_many_workers_for_the_memory_are_warned_of(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a training took more than there is, one line says so before the workers start."""
    (project / ".tongyeok").mkdir(exist_ok=True)
    (project / ".tongyeok/timings.jsonl").write_text('{"stage": "translator", "peak_mib": 100000000}\n')
    monkeypatch.setattr("tongyeok.tuning.placement.run", lambda _places, _arguments: None)
    assert main([*BEGIN, "--workers", "2"]) == 1
    assert "memory: 2 workers may take 200000000 MiB" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
def test_what_is_left_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the workers ended before the trials did, the command fails and says how to go on."""
    monkeypatch.setattr("tongyeok.tuning.placement.run", lambda _places, _arguments: None)
    assert main(BEGIN) == 1
    assert "study toy: 2 trials are left; begin it again to go on" in capsys.readouterr().err


def test_workers_end_with_the_command_that_started_them(project: Path) -> None:
    """kill -9 of `tune --workers` leaves no worker behind; its trial is there to be tried again."""
    begin_ = subprocess.Popen([sys.executable, "-m", "tongyeok", *BEGIN, "--heartbeat", "1"], cwd=project)
    url = f"sqlite:///{project / '.tongyeok/tune/studies.db'}"
    pid = wait_for(lambda: worker_of(url))
    begin_.kill()
    begin_.wait()
    wait_for(lambda: not alive(pid))
    assert main([*BEGIN, "--heartbeat", "1"]) == 0
    assert len(study.join(url, "toy").trials(TrialState.COMPLETE)) == 2


def worker_of(url: str) -> int:
    """The process of a trial that runs; 0 while there is none."""
    try:
        running = study.join(url, "toy").trials(TrialState.RUNNING)
    except TongyeokError:  # not begun yet
        return 0
    return next((int(trial.user_attrs["worker"].partition(":")[2]) for trial in running if trial.params), 0)


def alive(pid: int) -> bool:
    """Whether a process is neither gone nor waiting to be buried."""
    path = Path(f"/proc/{pid}/stat")
    return path.is_file() and path.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(found: Callable[[], Any]) -> Any:
    """Wait until `found()` is true, and return it."""
    deadline = time.monotonic() + 240
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value
