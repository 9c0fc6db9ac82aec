"""Who imports whom, and what a change of code reruns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from architecture.closure import ROOT, code_of, definition
from tongyeok.registry import STAGES, Stage

HEAVY = {"torch", "numpy", "sklearn", "mlflow", "fairseq", "hydra", "omegaconf", "matplotlib", "pydantic", "soundfile"}


def test_imports_obey_the_contracts() -> None:
    """fairseq has one room and mlflow one file; stages never import stages; the house has floors."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"]])
def test_the_command_line_starts_light(arguments: list[str]) -> None:
    """Help, version and a typing mistake import no library that takes a second."""
    code = (
        "import json, sys; from tongyeok.__main__ import main; main(sys.argv[1:]); print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_code_dependencies_are_what_a_stage_imports(stage: Stage) -> None:
    """dvc.yaml lists each of our files that a stage may execute; `python tests/architecture/closure.py` writes them."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    listed = [dep for dep in definition(stages[stage.name])["deps"] if dep.startswith("src/")]
    assert listed == code_of(stage.module)


def test_the_closure_sees_what_is_really_imported() -> None:
    """What Python loads when it imports every stage is no more than what the closures say."""
    code = (
        "import importlib, json, sys; from tongyeok.registry import STAGES\n"
        "for stage in STAGES: importlib.import_module(stage.module)\n"
        "print(json.dumps(sorted(m.__file__ for n, m in sys.modules.items() if n.startswith('tongyeok'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {Path(path).relative_to(ROOT).as_posix() for path in json.loads(done.stdout.splitlines()[-1])}
    known = {path for stage in STAGES for path in code_of(stage.module)}
    trivial = {path for path in loaded if path.endswith("/__init__.py")}
    assert loaded - trivial - {"src/tongyeok/registry.py"} <= known
