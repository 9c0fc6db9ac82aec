"""The whole flow on a toy corpus, as a user runs it: `dvc repro` in a fresh copy of the project."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tongyeok.registry import STAGES, called

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("src", "conf", "data", "data.dvc", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore")
TRAINER = "hubert@1"
ON_DEMAND = "recognizer@1"  # in DVC's words; the toy's `evaluate.asr.recognizer` asks for it
REBUILT = ("manifest", "kmeans@0", TRAINER, "units", "unit_health", "bitext")
SCORES = {
    *("n", "asr_bleu", "asr_bleu_interval", "asr_bleu_resynthesised", "asr_bleu_reference", "chrf", "wer", "exact"),
    *("unit_bleu", "speaker_similarity", "asr", "signature"),
    *("chrf_plus_plus", "cer", "cer_resynthesised", "cer_reference", "cer_chance"),
    *("cer_no_spaces", "char_bleu", "bleu_13a"),
    *("asr_understands", "signatures"),
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A copy of the project, and how to run commands in it."""

    folder: Path
    environment: dict[str, str]

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command of the virtual environment."""
        program = str(Path(sys.executable).with_name(words[0]))
        return subprocess.Popen(
            [program, *words[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> str:
        """Run a command to its end, which must be good, and return what it printed, messages left out."""
        process = self.start(*words)
        printed, messages = process.communicate()
        failed = f"{' '.join(words)} exited with {process.returncode}\n{printed[-6000:]}\n{messages[-6000:]}"
        assert process.returncode == 0, failed
        return printed

    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock: hashes of all inputs and outputs."""
        stages = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        assert isinstance(stages, dict)
        return stages


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The copy, with the toy profile composed and everything built once."""
    folder = tmp_path_factory.mktemp("project")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *COPIED],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
        "SHELL": "/bin/sh",  # dash stays between DVC and a stage unless it is told to `exec`
        "HOME": str(home),
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-config"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-config"),
    }
    made = Project(folder=folder, environment=environment)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    made.run("tongyeok", "params", "--profile", "toy")
    made.run("dvc", "repro")
    return made


def names(project: Project) -> list[str]:
    """All stages with their iterations, as DVC lists them."""
    return project.run("dvc", "stage", "list", "--name-only").split()


def executed(printed: str) -> list[str]:
    """The stages that `dvc repro` ran, or would run."""
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage '")]


def test_every_stage_leaves_its_outputs(project: Project) -> None:
    """One `dvc repro` makes the output folder of every stage, each with files in it, and nothing half-written."""
    outputs = project.folder / "outputs"
    for stage in STAGES:
        assert any(path.is_file() for path in (outputs / stage.name).rglob("*")), stage.name
    assert not list(outputs.rglob(".*partial"))
    assert sorted(project.lock()) == sorted(name for name in names(project) if name != "data.dvc")


def test_scores_are_printed(project: Project) -> None:
    """`tongyeok scores --json` prints every figure of every direction, beside its ceilings; the table names them."""
    directions = json.loads(project.run("tongyeok", "scores", "--json"))["directions"]
    assert directions
    for row in directions.values():
        assert set(row) == SCORES
        assert row["n"] > 0
    assert all(name in project.run("tongyeok", "scores") for name in directions)


def test_minutes_and_memory_are_printed(project: Project) -> None:
    """`tongyeok timings` has a line for every stage of the rebuild."""
    first_words = [line.split()[0] for line in project.run("tongyeok", "timings", "--all").splitlines()]
    assert {called(name) for name in names(project)} <= set(first_words)


def test_metrics_and_plots_are_shown(project: Project) -> None:
    """`dvc metrics show` and `dvc plots show` find every file that dvc.yaml declares."""
    metrics = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"]
    declared = yaml.safe_load((project.folder / "dvc.yaml").read_text())["metrics"]
    assert len(metrics) == len(declared)
    assert all(entry["data"] for entry in metrics.values()), metrics
    plots = json.loads(project.run("dvc", "plots", "show", "--json"))
    assert not plots.get("errors")
    assert len(plots["data"]) >= len(yaml.safe_load((project.folder / "dvc.yaml").read_text())["plots"])


def test_a_second_repro_runs_nothing(project: Project) -> None:
    """Nothing changed, so nothing runs."""
    assert executed(project.run("dvc", "repro")) == []
    assert json.loads(project.run("dvc", "status", "--json")) == {}


def test_stages_repeat_to_the_byte(project: Project) -> None:
    """Run again by force, without the run cache, each stage writes the same bytes: dvc.lock stays as it was."""
    before = (project.folder / "dvc.lock").read_text()
    for stage in REBUILT:
        printed = project.run("dvc", "repro", "--force", "--single-item", "--no-run-cache", stage)
        assert executed(printed) == [stage]
    assert (project.folder / "dvc.lock").read_text() == before


def test_killed_in_the_middle_the_result_is_the_same(project: Project) -> None:
    """`dvc` and the trainer killed half-way: nothing half-written passes for whole, the rerun gives the same bytes."""
    before = (project.folder / "dvc.lock").read_text()
    dvc = project.start("dvc", "repro", "--force", "--single-item", "--no-run-cache", TRAINER)
    home = project.folder / ".tongyeok" / "scratch" / TRAINER.replace("@", "/")
    wait_for(lambda: [path for path in home.glob("*/state/**/*") if path.suffix == ".pt"], process=dvc)
    dvc.send_signal(signal.SIGKILL)
    dvc.communicate()
    assert not (project.folder / "outputs" / TRAINER.replace("@", "/")).exists()
    printed = project.run("dvc", "repro", "--force", "--single-item", "--no-run-cache", TRAINER)
    assert executed(printed) == [TRAINER]
    assert (project.folder / "dvc.lock").read_text() == before
    assert [path.name for path in home.iterdir()] == ["lock"]


def test_changing_the_final_clusters_reruns_only_what_depends_on_them(project: Project) -> None:
    """With another final K, the corpus, the first codebook, its labels and HuBERT stay; all from kmeans@1 on reruns."""
    toy = yaml.safe_load((project.folder / "params.yaml").read_text())
    clusters = toy["kmeans"]["1"]["clusters"]
    project.run("tongyeok", "params", "--profile", "toy", f"kmeans.1.clusters={clusters - 1}")
    status = json.loads(project.run("dvc", "status", "--json"))
    assert list(status) == ["kmeans@1"]
    kept = ("corpus", "manifest", "kmeans@0", "labels@0", "hubert@1", ON_DEMAND)
    assert sorted(executed(project.run("dvc", "repro"))) == sorted(set(names(project)) - set(kept))
    header = (project.folder / "outputs" / "units" / "ko.tsv").read_text().splitlines()[0]
    assert json.loads(header.removeprefix("# "))["clusters"] == clusters - 1


def wait_for(found: Callable[[], object], *, process: "subprocess.Popen[str]", seconds: float = 300) -> None:
    """Wait until `found()` is true while `process` runs."""
    deadline = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, f"it ended before it could be killed:\n{process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.05)
