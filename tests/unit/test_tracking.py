"""Tracking: what is logged, that it is logged once, and that a lost server costs nothing."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run

from tongyeok import runs, tracking
from tongyeok.base.files import sha256
from tongyeok.registry import BY_NAME, called
from tongyeok.runs import provenance
from tongyeok.runs.journal import UNSENT, Header, Journal, Result, read_points

PARAMS = {
    "runtime": {"threads": 1},
    "translator": {"layers": 3, "optimiser": {"rate": 0.001}},
    "hubert": {"1": {"a": 1}},
}


@pytest.fixture
def project(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with an empty MLflow database; the current directory."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # mlflow sets it when a sender runs in this process
    return tmp_path


@pytest.fixture
def client(project: Path) -> mlflow.MlflowClient:
    """A client of the project's database."""
    return mlflow.MlflowClient(f"sqlite:///{project}/mlruns/mlflow.db")


def header(project: Path, name: str = "translator", **changes: object) -> Header:
    """A header as a stage would write it."""
    values = Header(
        run=provenance.unique(),
        experiment=name.partition("@")[0],
        name=name,
        started_ms=1_000,
        params={"translator.layers": "3"},
        tags={"stage": name, "mlflow.source.git.commit": "abc"},
        inputs={"bitext": "0123456789abcdef0123456789abcdef.dir"},
        upstream_models={},
        rebuild=None,
        uri=f"sqlite:///{project}/mlruns/mlflow.db",
        artifacts=f"{project}/mlruns/artifacts",
    )
    return dataclasses.replace(values, **changes)  # type: ignore[arg-type]


def finished(outputs: Path, **changes: object) -> Result:
    """The end of a run whose outputs lie in `outputs`, made there."""
    (outputs / "samples").mkdir(parents=True, exist_ok=True)
    (outputs / "samples" / "one.flac").write_bytes(b"sound")
    (outputs / "metrics.json").write_text("{}")
    (outputs / "checkpoint.pt").write_bytes(b"weights of " + outputs.name.encode())
    values = Result(
        status="FINISHED",
        ended_ms=9_000,
        metrics={"bleu": 30.5},
        outputs=str(outputs),
        models=provenance.models(outputs),
        timings=[{"stage": "hubert@1", "seconds": 90.0, "peak_mib": 700}],
    )
    return dataclasses.replace(values, **changes)  # type: ignore[arg-type]


def only_run(client: mlflow.MlflowClient, experiment: str) -> Run:
    """The one run of an experiment."""
    (run,) = runs_of(client, experiment)
    return run


def runs_of(client: mlflow.MlflowClient, experiment: str) -> list[Run]:
    """All runs of an experiment."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id]))


def send(project: Path, opened: Header, points: int = 3, **changes: object) -> Path:
    """Write a whole journal and send it."""
    folder = project / "journals" / opened.run
    journal = Journal.open(folder, lambda: opened)
    for step in range(1, points + 1):
        journal.point(step, {"train/loss": 1 / step})
    journal.end(finished(project / "outputs" / opened.name, **changes))
    assert tracking.Shipment(folder).send()
    return folder


def test_logs_everything_about_a_run(project: Path, client: mlflow.MlflowClient) -> None:
    """Params, curves, results, commit, input hashes, artifacts and the checkpoint's row are there after sending."""
    send(project, header(project))
    run = only_run(client, "translator")
    assert (run.info.run_name, run.info.status) == ("translator", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1_000, 9_000)
    assert run.data.params == {"translator.layers": "3"}
    assert run.data.metrics == {"train/loss": pytest.approx(1 / 3), "bleu": 30.5}
    assert run.data.tags["mlflow.source.git.commit"] == "abc"
    assert run.data.tags["input.bitext"] == "0123456789abcdef0123456789abcdef.dir"
    assert run.inputs.dataset_inputs[0].dataset.digest == "0123456789abcdef0123456789abcdef.dir"
    curve = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert sorted(item.path for item in client.list_artifacts(run.info.run_id)) == ["metrics.json", "samples"]
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == run.info.run_id
    assert model.tags["sha256.checkpoint.pt"] == sha256(project / "outputs/translator/checkpoint.pt")


def test_sending_again_changes_nothing(project: Path, client: mlflow.MlflowClient) -> None:
    """Sent a second time, even with the sender's own notes lost, a journal adds no run, no point and no tag."""
    folder = send(project, header(project))
    run = only_run(client, "translator")
    notes = json.loads((folder / "sent.json").read_text())
    (folder / "sent.json").write_text(json.dumps({"model": notes["model"]}))
    assert tracking.Shipment(folder).send()
    again = only_run(client, "translator")
    assert again.to_dictionary() == run.to_dictionary()
    for key in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, key)
        assert len(history) == len({(point.step, point.timestamp, point.value) for point in history})


def test_names_upstream_runs_by_the_hash_of_their_model(project: Path, client: mlflow.MlflowClient) -> None:
    """A run is tagged with the newest run that made the very model file that it used, and with no other."""
    for started in (1_000, 2_000):
        send(project, header(project, "hubert@1", started_ms=started))
    newest = runs_of(client, "hubert")[0]
    assert newest.info.start_time == 2_000
    used = sha256(project / "outputs/hubert@1/checkpoint.pt")
    send(project, header(project, upstream_models={"hubert@1/checkpoint.pt": used, "vocoder/generator.pt": "unknown"}))
    tags = only_run(client, "translator").data.tags
    assert {key: value for key, value in tags.items() if key.startswith("upstream.")} == {
        "upstream.hubert.1": newest.info.run_id
    }


def test_a_rebuild_has_one_parent_run(project: Path, client: mlflow.MlflowClient) -> None:
    """Stages of one `dvc repro` are children of one run, which lists the minutes and memory of all that ran."""
    send(project, header(project, "hubert@1", rebuild="1-2"))
    timings = [
        {"stage": "kmeans@0", "seconds": 30.0, "peak_mib": 500},
        {"stage": "hubert@1", "seconds": 90.0, "peak_mib": 700},
    ]
    send(project, header(project, rebuild="1-2"), timings=timings)
    parent = only_run(client, "rebuild")
    for experiment in ("hubert", "translator"):
        assert only_run(client, experiment).data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {
        "minutes/kmeans.0": 0.5,
        "minutes/hubert.1": 1.5,
        "minutes": 2.0,
        "peak_mib/kmeans.0": 500.0,
        "peak_mib/hubert.1": 700.0,
    }
    assert parent.data.tags["stages"] == "kmeans@0 hubert@1"


def test_an_interrupted_stage_goes_on_in_the_same_run(project: Path, client: mlflow.MlflowClient) -> None:
    """Killed, a run is marked so; the rerun continues it, and repeated steps do not appear twice."""
    folder = project / "journal"
    opened = header(project)
    journal = Journal.open(folder, lambda: opened)
    journal.point(1, {"loss": 3.0})
    journal.point(2, {"loss": 2.0})
    shipment = tracking.Shipment(folder)
    assert not shipment.send()
    assert only_run(client, "translator").info.status == "RUNNING"
    shipment.interrupted()
    assert only_run(client, "translator").info.status == "KILLED"

    journal = Journal.open(folder, lambda: header(project))
    journal.point(2, {"loss": 2.0})
    journal.point(3, {"loss": 1.0})
    journal.end(finished(project / "outputs"))
    assert tracking.Shipment(folder).send()
    run = only_run(client, "translator")
    assert run.info.status == "FINISHED"
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [3.0, 2.0, 1.0]


def test_the_journal_survives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """Half a line is cut off; whole points stay and new ones follow."""
    journal = Journal.open(tmp_path, lambda: header(tmp_path))
    journal.point(1, {"loss": 3.0})
    with (tmp_path / "points.jsonl").open("a") as file:
        file.write('{"step": 2, "time')
    assert [point.step for point, _ in read_points(tmp_path)] == [1]
    Journal.open(tmp_path, lambda: header(tmp_path)).point(2, {"loss": 2.0})
    assert [(point.step, point.values) for point, _ in read_points(tmp_path)] == [
        (1, {"loss": 3.0}),
        (2, {"loss": 2.0}),
    ]


def test_names_are_made_fit_for_mlflow(project: Path, client: mlflow.MlflowClient) -> None:
    """Signs that MLflow refuses in metric names become underscores."""
    folder = project / "journal"
    journal = Journal.open(folder, lambda: header(project))
    journal.point(1, {"valid/used 100% (ko)": 1.0})
    journal.end(finished(project / "outputs"))
    assert tracking.Shipment(folder).send()
    assert "valid/used 100_ _ko_" in only_run(client, "translator").data.metrics


def test_a_stage_is_logged_by_a_process_beside_it(
    project: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From `stage_run` to the database: own and upstream parameters, curves and results arrive."""
    monkeypatch.delenv("TONGYEOK_TRACKING")
    (project / "bitext").mkdir()
    (project / "bitext" / "dict.txt").write_text("0 1\n")
    inputs = {"bitext": Path("bitext")}
    with runs.stage_run(
        BY_NAME["translator"], name="translator", params=PARAMS, inputs=inputs, folder=Path("scratch")
    ) as run:
        run.on_metrics(1, {"loss": 2.0})
        finished(project / "outputs")
        run.finish({"bleu": 1.0}, project / "outputs", [])
    logged = only_run(client, "translator")
    assert logged.info.status == "FINISHED"
    assert logged.data.params == {
        "translator.layers": "3",
        "translator.optimiser.rate": "0.001",
        "runtime.threads": "1",
    }
    assert logged.data.metrics["loss"] == 2.0
    assert logged.data.tags["input.bitext"] == provenance.tree_digest(Path("bitext"))
    assert not UNSENT.exists()


def test_an_error_marks_the_run_as_failed(client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage's own exception passes through, and the run ends as FAILED."""
    monkeypatch.delenv("TONGYEOK_TRACKING")
    stage = BY_NAME["hubert"]
    with (
        pytest.raises(RuntimeError, match="diverged"),
        runs.stage_run(stage, name="hubert@1", params=PARAMS, inputs={}, folder=Path("scratch")),
    ):
        raise RuntimeError("diverged")
    run = only_run(client, "hubert")
    assert run.info.status == "FAILED"
    assert run.data.params == {"hubert.a": "1", "runtime.threads": "1", "iteration": "1"}


def test_a_lost_server_costs_nothing(
    project: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With no server the stage goes on at once and ends well; the journal is kept, and sent whole later."""
    monkeypatch.delenv("TONGYEOK_TRACKING")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setattr(runs, "PATIENCE_SECONDS", 0.5)
    with runs.stage_run(
        BY_NAME["translator"], name="translator", params=PARAMS, inputs={}, folder=Path("scratch")
    ) as run:
        for step in range(500):
            run.on_metrics(step, {"loss": float(step)})
        finished(project / "outputs")
        run.finish({"bleu": 1.0}, project / "outputs", [])
    (kept,) = UNSENT.iterdir()
    assert "kept in .tongyeok/unsent/" in capsys.readouterr().err
    shutil.rmtree(project / "outputs")

    record = json.loads((kept / "run.json").read_text())
    assert record["artifacts"] is None
    record |= {"uri": f"sqlite:///{project}/mlruns/mlflow.db", "artifacts": f"{project}/mlruns/artifacts"}
    (kept / "run.json").write_text(json.dumps(record))
    assert tracking.send_kept([kept]) == 0
    logged = only_run(client, "translator")
    assert len(client.get_metric_history(logged.info.run_id, "loss")) == 500
    assert sorted(item.path for item in client.list_artifacts(logged.info.run_id)) == ["metrics.json", "samples"]
    assert not any(UNSENT.iterdir())


def test_a_journal_that_cannot_be_sent_stays(project: Path) -> None:
    """Sending a kept journal while the server is still lost leaves it where it is."""
    folder = UNSENT / "one"
    journal = Journal.open(folder, lambda: header(project, uri=f"sqlite:///{project}/outputs/no/such/folder/x.db"))
    (project / "outputs").write_text("a file where the database's folder should be")
    journal.end(Result(status="FINISHED", ended_ms=1, metrics={}, outputs="", models={}, timings=[]))
    assert tracking.send_kept([folder]) == 1
    assert (folder / "result.json").is_file()


@pytest.mark.parametrize("name", ["kmeans", "translator"])
def test_untracked_stages_leave_no_trace(project: Path, name: str) -> None:
    """A stage without experiment, or any stage with TONGYEOK_TRACKING=off, writes no journal and starts no process."""
    with runs.stage_run(BY_NAME[name], name=name, params=PARAMS, inputs={}, folder=Path("scratch")) as run:
        run.on_metrics(1, {"loss": 1.0})
        run.finish({}, project, [])
    assert not Path("scratch").exists()


@pytest.mark.usefixtures("project")
def test_the_lock_file_tells_where_a_run_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under DVC, input hashes, upstream stages (nearest first) and their model files come from dvc.lock."""
    monkeypatch.setenv("DVC_STAGE", "evaluate")
    for stage, dep in (
        ("hubert@1", "data"),
        ("units", "outputs/hubert/1"),
        ("bitext", "outputs/units"),
        ("recognizer@1", "outputs/hubert/1"),
    ):
        path = Path("outputs") / called(stage).replace("@", "/")
        path.mkdir(parents=True)
        entry = {"deps": [{"path": dep, "md5": "d"}], "outs": [{"path": path.as_posix(), "md5": f"{stage}.dir"}]}
        stages = json.loads(Path("dvc.lock").read_text())["stages"] if Path("dvc.lock").exists() else {}
        Path("dvc.lock").write_text(json.dumps({"stages": stages | {stage: entry}}))
    Path("outputs/hubert/1/checkpoint.pt").write_bytes(b"w")
    origin = provenance.origin({"bitext": Path("outputs/bitext"), "corpus": Path("outputs/units")})
    assert origin.digests == {"bitext": "bitext.dir", "corpus": "units.dir"}
    assert origin.stages == ("bitext", "units", "hubert@1")
    assert origin.models == {"hubert@1/checkpoint.pt": sha256(Path("outputs/hubert/1/checkpoint.pt"))}
    assert provenance.origin({"recognizer": Path("outputs/recognizer")}).stages == ("recognizer", "hubert@1")


def test_outside_dvc_inputs_are_hashed(project: Path) -> None:
    """By hand, the digest covers names and bytes of an input, and model files of direct inputs are found."""
    folder = project / "hubert"
    folder.mkdir()
    (folder / "checkpoint.pt").write_bytes(b"w")
    origin = provenance.origin({"hubert": folder})
    assert origin.models == {"hubert/checkpoint.pt": sha256(folder / "checkpoint.pt")}
    (folder / "checkpoint.pt").rename(folder / "other.pt")
    assert provenance.origin({"hubert": folder}).digests != origin.digests


@pytest.mark.usefixtures("project")
def test_the_commit_and_whether_files_differ_from_it() -> None:
    """A clean checkout is told from a changed one; dvc.lock, which every rebuild writes, does not count."""
    assert provenance.git_tags() == {}
    for words in (["init", "-q"], ["add", "file", "dvc.lock"], ["commit", "-qm", "x"]):
        Path("file").touch()
        Path("dvc.lock").touch()
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], check=True)
    Path("dvc.lock").write_text("new")
    tags = provenance.git_tags()
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert tags["git.dirty"] == "false"
    Path("file").write_text("new")
    assert provenance.git_tags()["git.dirty"] == "true"


def test_a_rebuild_is_named_after_the_dvc_process(tmp_path: Path) -> None:
    """Processes below one `dvc` share a name that another `dvc` does not have; without one there is no name."""
    child = "from tongyeok.runs import provenance; print(provenance.rebuild())"
    dvc = tmp_path / "dvc"
    dvc.write_text(f"#!/bin/sh\n{sys.executable} -c '{child}'\n/bin/sh -c '{sys.executable} -c \"{child}\"; true'\n")
    dvc.chmod(0o755)

    def names() -> list[str]:
        return subprocess.run([str(dvc)], check=True, capture_output=True, text=True).stdout.split()

    (one, same), (other, _) = names(), names()
    assert one == same != other
    alone = subprocess.run([sys.executable, "-c", child], check=True, capture_output=True, text=True).stdout
    assert alone.strip() == "None"


def test_points_are_written_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A point is on disk when `on_metrics` returns, whatever the sender does."""
    monkeypatch.setattr(runs, "_start_sender", lambda _folder: None)
    run = runs.Tracked(Journal.open(tmp_path, lambda: header(tmp_path)))
    run.on_metrics(1, {"loss": 1.0})
    assert [point.step for point, _ in read_points(tmp_path)] == [1]


def test_the_sender_notices_that_its_stage_was_killed(project: Path, client: mlflow.MlflowClient) -> None:
    """When the stage is killed its end of the pipe closes: the sender sends the last points and marks the run."""
    folder = project / "journal"
    opened = header(project)
    Journal.open(folder, lambda: opened).point(1, {"loss": 3.0})
    stage = (
        "import sys, time; from pathlib import Path; from tongyeok.runs import _start_sender;"
        f"p = _start_sender(Path({str(folder)!r})); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", stage], stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    deadline = time.monotonic() + 60
    while not (found := client.get_experiment_by_name("translator")) or not [
        run for run in client.search_runs([found.experiment_id]) if run.info.status == "KILLED"
    ]:
        assert time.monotonic() < deadline, (folder / "sender.log").read_text()
        time.sleep(0.3)
    assert only_run(client, "translator").data.metrics == {"loss": 3.0}


def test_trials_are_runs_below_their_study(
    project: Path, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial told before its study makes the study's run; the study's report is added to that same run."""
    monkeypatch.setenv("TONGYEOK_TRACKING", "on")
    trial, report = project / "trial", project / "report"
    (report / "plots").mkdir(parents=True)
    (report / "plots" / "history.png").write_bytes(b"picture")
    trial.mkdir()
    for name in ("params.yaml", "trial.json", "metrics.json"):
        (trial / name).write_text("{}")
    told: dict[str, Any] = {"tags": {"stage": "tune units"}, "inputs": {"corpus": "0123456789abcdef"}}
    with runs.tuning_run(
        run="a", name="s 0", params={"units.switch_penalty": 2.5}, folder=project / "j0", study=("b", "s"), **told
    ) as run:
        run.on_metrics(5, {"vocoder/speech/mel_error": 0.5})
        run.finish({"resynthesis_wer": 12.0, "pruned": 0.0}, trial, [])
    with runs.tuning_run(run="b", name="s", params={"seed": 1}, folder=project / "j1", study=None, **told) as run:
        run.finish({"trials/complete": 1.0}, report, [])
    found = {run.info.run_name: run for run in runs_of(client, "tune")}
    assert set(found) == {"s", "s 0"}
    child, parent = found["s 0"], found["s"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params == {"units.switch_penalty": "2.5"}
    assert child.data.metrics["resynthesis_wer"] == 12.0
    assert child.data.metrics["vocoder/speech/mel_error"] == 0.5
    kept = {item.path for item in client.list_artifacts(child.info.run_id)}
    assert kept == {"params.yaml", "trial.json", "metrics.json"}
    assert parent.data.metrics["trials/complete"] == 1.0
    assert [item.path for item in client.list_artifacts(parent.info.run_id, "plots")] == ["plots/history.png"]
    assert {child.info.status, parent.info.status} == {"FINISHED"}
