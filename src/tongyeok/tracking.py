"""Send journals to MLflow. The only file that imports mlflow; it runs as a process of its own, beside the stage.

`python -m tongyeok.tracking FOLDER …` sends what is unsent in each journal and exits with 1 if any is left.
With `--watch` it keeps sending one journal until its standard input closes. Everything sent may be sent again without
harm: points carry the time they were measured at, runs are found by our own name for them.
"""

import argparse
import fcntl
import json
import re
import select
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag, ViewType
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from tongyeok.base.files import write_json
from tongyeok.runs.journal import LOGGED, SENT, UNSENT, Header, Result, read_header, read_points, read_result

PERIOD_SECONDS = 10.0
BATCH = 1000  # MLflow's limit of metrics per call; 100 for params and tags
RUN_TAG, MODEL_TAG, REBUILD_TAG = "tongyeok.run", "tongyeok.model", "tongyeok.rebuild"
REBUILDS = "rebuild"


class Shipment:
    """One journal on its way to MLflow."""

    def __init__(self, folder: Path) -> None:
        """Go on where `sent.json` says the last sender stopped."""
        self.folder = folder
        self.header = read_header(folder)
        sent = folder / SENT
        self._sent: dict[str, Any] = json.loads(sent.read_text(encoding="utf-8")) if sent.is_file() else {}
        mlflow.set_tracking_uri(self.header.uri)
        self._client = mlflow.MlflowClient(self.header.uri)
        self._monitor: SystemMetricsMonitor | None = None
        self._running = False

    def send(self, *, monitor: bool = False) -> bool:
        """Send what is new; True once the end of the run was sent."""
        if not self._running:
            self._start()
            if monitor:
                self._monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
                    self.run_id, resume_logging=self._sent.get("offset", 0) > 0, tracking_uri=self.header.uri
                )
                self._monitor.start()  # type: ignore[no-untyped-call]
        self._send_points()
        result = read_result(self.folder)
        if result is not None:
            self._end(result)
        return result is not None

    def interrupted(self) -> None:
        """Mark the run as killed: its stage is gone and wrote no end."""
        self._close("KILLED", time.time_ns() // 1_000_000)

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return str(self._sent["run_id"])

    def _note(self, **values: object) -> None:
        self._sent |= values
        write_json(self.folder / SENT, self._sent)

    def _start(self) -> None:
        header = self.header
        with _database_lock(header):
            experiment = _experiment(self._client, header, header.experiment)
            run_id = self._sent.get("run_id") or _find(self._client, [experiment], RUN_TAG, header.run)
            parent = self._parent()
            if run_id is None:
                first = header.tags | {RUN_TAG: header.run, "mlflow.source.name": f"tongyeok {header.name}"}
                first |= {"mlflow.parentRunId": parent} if parent else {}
                created = self._client.create_run(experiment, header.started_ms, first, header.name)
                run_id = created.info.run_id
        self._note(run_id=run_id)
        if not self._sent.get("opened"):
            params = [Param(_plain(key, instead="."), value) for key, value in header.params.items()]
            for batch in _batches(params, 100):
                self._client.log_batch(run_id, params=batch)
            lineage = self._lineage() | {f"input.{name}": digest for name, digest in header.inputs.items()}
            tags = [RunTag(_plain(key, instead="."), value) for key, value in lineage.items()]
            self._client.log_batch(run_id, tags=tags)
            self._client.log_inputs(run_id, [_dataset(name, digest) for name, digest in header.inputs.items()])
            self._note(opened=True)
        self._client.update_run(run_id, "RUNNING")
        if parent:
            self._client.update_run(parent, "RUNNING")
        self._running = True

    def _parent(self) -> str | None:
        """The run of this rebuild in the experiment `rebuild`, or of this trial's study: made by the first below it."""
        header = self.header
        if header.parent is not None:
            return self._study(header.parent)
        if header.rebuild is None:
            return None
        experiment = _experiment(self._client, header, REBUILDS)
        parent = self._sent.get("parent") or _find(self._client, [experiment], REBUILD_TAG, header.rebuild)
        if parent is None:
            tags = header.tags | {REBUILD_TAG: header.rebuild, "mlflow.source.name": "dvc repro"}
            tags.pop("stage")
            name = f"rebuild of {tags.get('mlflow.source.git.commit', 'no commit')[:9]}"
            parent = self._client.create_run(experiment, header.started_ms, tags, name).info.run_id
        self._sent["parent"] = parent
        return str(parent)

    def _study(self, run: str) -> str:
        header = self.header
        experiment = _experiment(self._client, header, header.experiment)
        parent = self._sent.get("parent") or _find(self._client, [experiment], RUN_TAG, run)
        if parent is None:
            tags = {RUN_TAG: run, "mlflow.source.name": "tongyeok tune"}
            parent = self._client.create_run(experiment, header.started_ms, tags, header.parent_name).info.run_id
        self._sent["parent"] = parent
        return str(parent)

    def _lineage(self) -> dict[str, str]:
        """Tags `upstream.<experiment>` -> id of the newest run that made each upstream model file."""
        experiments = [found.experiment_id for found in self._client.search_experiments()]
        tags = {}
        for source, digest in self.header.upstream_models.items():
            run_id = _find(self._client, experiments, MODEL_TAG, digest)
            if run_id:
                tags[f"upstream.{source.rpartition('/')[0]}"] = run_id
        return tags

    def _send_points(self) -> None:
        metrics: list[Metric] = []
        offset, last = self._sent.get("offset", 0), self._sent.get("last_step", 0)
        for point, behind in read_points(self.folder, offset):
            metrics += [Metric(_plain(key), value, point.time_ms, point.step) for key, value in point.values.items()]
            offset, last = behind, max(last, point.step)
            if len(metrics) >= BATCH - 100:
                self._send_metrics(metrics, offset, last)
                metrics = []
        if metrics:
            self._send_metrics(metrics, offset, last)

    def _send_metrics(self, metrics: Sequence[Metric], offset: int, last: int) -> None:
        for batch in _batches(metrics, BATCH):
            self._client.log_batch(self.run_id, metrics=batch, synchronous=True)
        self._note(offset=offset, last_step=last)

    def _end(self, result: Result) -> None:
        if result.status == "FINISHED":
            step = self._sent.get("last_step", 0)
            final = [Metric(_plain(key), value, result.ended_ms, step) for key, value in result.metrics.items()]
            tags = [RunTag(MODEL_TAG, digest) for digest in result.models.values()]
            self._client.log_batch(self.run_id, metrics=final, tags=tags)
            self._send_artifacts(Path(result.outputs))
            if result.models and not self._sent.get("model"):
                self._send_model(result)
            self._send_timings(result)
        self._close(result.status, result.ended_ms)

    def _send_artifacts(self, outputs: Path) -> None:
        kept = self.folder / "artifacts"
        root = kept if kept.is_dir() else outputs
        for name in LOGGED:
            if (root / name).is_dir():
                self._client.log_artifacts(self.run_id, str(root / name), name)
            elif (root / name).is_file():
                self._client.log_artifact(self.run_id, str(root / name))

    def _send_model(self, result: Result) -> None:
        """Register the checkpoint as an external model: a row with its hashes, without a copy of its weights."""
        header = self.header
        model = mlflow.create_external_model(
            name=_plain(header.name, instead="-"),
            source_run_id=self.run_id,
            tags={f"sha256.{file}": digest for file, digest in result.models.items()},
            params={"stage": header.name},
            model_type=header.experiment,
            experiment_id=self._client.get_run(self.run_id).info.experiment_id,
        )
        self._note(model=model.model_id)

    def _send_timings(self, result: Result) -> None:
        parent = self._sent.get("parent")
        if not parent or not result.timings:
            return
        metrics = []
        for row in result.timings:
            stage = _plain(row["stage"], instead=".")
            metrics.append(Metric(f"minutes/{stage}", row["seconds"] / 60, result.ended_ms, 0))
            metrics.append(Metric(f"peak_mib/{stage}", row["peak_mib"], result.ended_ms, 0))
        metrics.append(Metric("minutes", sum(row["seconds"] for row in result.timings) / 60, result.ended_ms, 0))
        stages = RunTag("stages", " ".join(dict.fromkeys(row["stage"] for row in result.timings)))
        self._client.log_batch(parent, metrics=metrics, tags=[stages])

    def _close(self, status: str, ended_ms: int) -> None:
        if self._monitor is not None:
            self._monitor.finish()  # type: ignore[no-untyped-call]
            self._monitor = None
        self._client.set_terminated(self.run_id, status, ended_ms)
        if self._sent.get("parent"):
            self._client.set_terminated(self._sent["parent"], status, ended_ms)
        self._running = False


def _experiment(client: mlflow.MlflowClient, header: Header, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None if header.artifacts is None else str(Path(header.artifacts) / name)
    return str(client.create_experiment(name, artifact_location=location))


def _find(client: mlflow.MlflowClient, experiments: list[str], tag: str, value: str) -> str | None:
    runs = client.search_runs(
        experiments, f"tags.`{tag}` = '{value}'", ViewType.ACTIVE_ONLY, 1, ["attributes.start_time DESC"]
    )
    return str(runs[0].info.run_id) if runs else None


def _dataset(name: str, digest: str) -> DatasetInput:
    """A data set row that names a stage's input and the hash of its contents, without its data."""
    source = json.dumps({"url": f"dvc:{name}"})
    return DatasetInput(Dataset(name=name, digest=digest, source_type="dvc", source=source), [])


def _plain(name: str, instead: str = "_") -> str:
    """A name that MLflow allows for metrics."""
    return re.sub(r"[^\w/.: -]", instead, name, flags=re.ASCII)


def _batches(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


@contextmanager
def _database_lock(header: Header) -> Iterator[None]:
    """Let one process at a time make the database and its experiments: MLflow's migrations race otherwise."""
    if not header.uri.startswith("sqlite:///"):
        yield
        return
    database = Path(header.uri.removeprefix("sqlite:///"))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def send_kept(folders: Sequence[Path]) -> int:
    """Send journals that were kept after their stage; the number that is still left."""
    left = 0
    for folder in folders:
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Shipment(folder).send()
            except Exception:  # noqa: BLE001  best effort: whatever went wrong, the journal stays
                traceback.print_exc()
                left += 1
                continue
        shutil.rmtree(folder)
    return left


def watch(folder: Path) -> int:
    """Send a journal while its stage runs; 0 once everything is sent, 1 if something is left."""
    shipment: Shipment | None = None
    stage_ended = False
    kept_tried = False
    while True:
        try:
            shipment = shipment or Shipment(folder)
            done = shipment.send(monitor=True)
            if done:
                return 0
            if stage_ended:
                shipment.interrupted()
                return 0
            if not kept_tried:
                kept_tried = True
                send_kept(sorted(UNSENT.iterdir()) if UNSENT.is_dir() else [])
        except Exception:  # noqa: BLE001  a lost server, a full disk: try again later, the stage goes on
            traceback.print_exc()
            if stage_ended:
                return 1
        stage_ended = stage_ended or bool(select.select([sys.stdin], [], [], PERIOD_SECONDS)[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Send one journal while its stage runs, or journals that were kept."""
    parser = argparse.ArgumentParser(prog="python -m tongyeok.tracking", description=__doc__)
    parser.add_argument("--watch", action="store_true", help="keep sending until standard input closes")
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    args = parser.parse_args(argv)
    if args.watch:
        return watch(args.folders[0])
    return int(send_kept(args.folders) > 0)


if __name__ == "__main__":
    sys.exit(main())
