"""The local journal of one run: what is to be logged, on disk before anything is sent.

`run.json` is the header, `points.jsonl` the curves, `result.json` the end, `sent.json` how far the sender came. A rerun
of an interrupted stage goes on in the same journal, and therefore in the same MLflow run.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tongyeok.base.files import flush, write_json

UNSENT = Path(".tongyeok/unsent")
LOGGED = (  # of a stage's outputs, or a trial's, what people look at
    *("plots", "samples", "metrics.json", "report.html", "report.md", "params.yaml", "trial.json"),
)
HEADER, POINTS, RESULT, SENT = "run.json", "points.jsonl", "result.json", "sent.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What is known when a run starts.

    `run` is our own unique name of it; `inputs` maps input names to the hash of their contents; `upstream_models` maps
    upstream stages to the SHA-256 of their model file; `rebuild` names the `dvc` process that started the stage;
    `artifacts` is the local folder for artifacts, or None where the server decides. A trial's `parent` is the `run` of
    its study, in the same experiment, and `parent_name` what people call that.
    """

    run: str
    experiment: str
    name: str
    started_ms: int
    params: dict[str, str]
    tags: dict[str, str]
    inputs: dict[str, str]
    upstream_models: dict[str, str]
    rebuild: str | None
    uri: str
    artifacts: str | None
    parent: str | None = None
    parent_name: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a run ended.

    `status` is MLflow's; `outputs` the stage's output folder; `models` the SHA-256 of its model files; `timings` what
    the stages of this rebuild took so far.
    """

    status: str
    ended_ms: int
    metrics: dict[str, float]
    outputs: str
    models: dict[str, str]
    timings: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One point of the curves."""

    step: int
    time_ms: int
    values: dict[str, float]


class Journal:
    """The writing end."""

    def __init__(self, folder: Path) -> None:
        """Go on with the journal in `folder`."""
        self.folder = folder
        self._seen = {(key, point.step) for point, _ in read_points(folder) for key in point.values}
        (folder / POINTS).touch()

    @classmethod
    def open(cls, folder: Path, header: Callable[[], Header]) -> "Journal":
        """Go on with the journal in `folder`, or start one with `header()`."""
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / HEADER).is_file():
            write_json(folder / HEADER, dataclasses.asdict(header()))
        (folder / RESULT).unlink(missing_ok=True)
        _mend(folder / POINTS)
        return cls(folder)

    def point(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point; a resumed training repeats some, which are left out."""
        new = {key: float(value) for key, value in values.items() if (key, step) not in self._seen}
        if not new:
            return
        self._seen |= {(key, step) for key in new}
        row = {"step": step, "time_ms": time.time_ns() // 1_000_000, "values": new}
        with (self.folder / POINTS).open("a", encoding="utf-8") as points:
            points.write(json.dumps(row) + "\n")

    def end(self, result: Result) -> None:
        """Write how the run ended."""
        flush(self.folder / POINTS)
        write_json(self.folder / RESULT, dataclasses.asdict(result))

    def keep(self, outputs: Path) -> Path:
        """Move an unsent journal, with copies of what people look at, out of the stage's scratch folder."""
        for name in LOGGED:
            source, copy = outputs / name, self.folder / "artifacts" / name
            if source.is_dir():
                shutil.copytree(source, copy, dirs_exist_ok=True)
            elif source.is_file():
                copy.parent.mkdir(exist_ok=True)
                shutil.copy2(source, copy)
        target = UNSENT / read_header(self.folder).run
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.folder, target)
        return target


def read_header(folder: Path) -> Header:
    """The header of the journal in `folder`."""
    return Header(**json.loads((folder / HEADER).read_text(encoding="utf-8")))


def read_result(folder: Path) -> Result | None:
    """How the run ended, or None while it has not."""
    path = folder / RESULT
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def read_points(folder: Path, offset: int = 0) -> Iterator[tuple[Point, int]]:
    """Whole points from a byte offset on, each with the offset behind it."""
    path = folder / POINTS
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield Point(**json.loads(line)), offset


def _mend(path: Path) -> None:
    """Cut off a point that a kill left half-written."""
    if path.is_file():
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            path.write_bytes(whole)
