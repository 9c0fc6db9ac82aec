"""One name everywhere: registry, dvc.yaml, params.yaml, conf/, outputs/, sub-commands, test files."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from architecture.closure import ROOT, definition
from tongyeok import runner
from tongyeok.registry import STAGES, VERBS, Stage

PROFILES = ("demo", "toy", "base", "paper", "prompts")
DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
EACH_STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


def test_dvc_lists_the_stages_in_pipeline_order() -> None:
    """dvc.yaml has the registry's stages and no others, in the same order."""
    assert list(DVC["stages"]) == [stage.name for stage in STAGES]


def test_params_have_the_sections_of_the_stages() -> None:
    """params.yaml has a section per stage, what all share, and the derived flow."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert list(params) == ["runtime", *(stage.name for stage in STAGES), "flow"]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_names_every_group(profile: str) -> None:
    """Each profile takes every stage's group, its own where it has one, and each file exists."""
    text = yaml.safe_load((ROOT / "conf" / f"{profile}.yaml").read_text(encoding="utf-8"))
    groups = {name: choice for entry in text["defaults"] for name, choice in entry.items()}
    assert list(groups) == ["runtime", *(stage.name for stage in STAGES)]
    for group, choice in groups.items():
        assert (ROOT / "conf" / group / f"{choice}.yaml").is_file(), f"conf/{group}/{choice}.yaml is missing"
        own = (ROOT / "conf" / group / f"{profile}.yaml").is_file()
        assert choice == profile or not own, f"conf/{group}/{profile}.yaml exists, but {profile}.yaml takes {choice}"
        assert profile in {choice, "prompts"}, f"{profile} borrows {group} from {choice}"


def test_conf_has_no_other_groups() -> None:
    """No folder or profile lies in conf/ that nothing uses; `tune` holds the search spaces of the verb."""
    groups = sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir())
    assert groups == sorted(["runtime", "tune", *(stage.name for stage in STAGES)])
    assert sorted(path.stem for path in (ROOT / "conf").glob("*.yaml")) == sorted(PROFILES)


@EACH_STAGE
def test_a_stage_writes_the_folder_of_its_name(stage: Stage) -> None:
    """Its output is outputs/<stage>, or outputs/<stage>/<iteration>."""
    entry = definition(DVC["stages"][stage.name])
    assert entry["outs"] == [f"outputs/{stage.name}/${{key}}" if stage.per_iteration else f"outputs/{stage.name}"]
    assert ("foreach" in DVC["stages"][stage.name]) == (stage.per_iteration or stage.on_demand)


@EACH_STAGE
def test_a_stage_depends_on_its_own_parameters(stage: Stage) -> None:
    """It reads its own section, or its iteration's, and the pinned threads; nothing else of params.yaml."""
    section = f"{stage.name}.${{key}}" if stage.per_iteration else stage.name
    assert definition(DVC["stages"][stage.name])["params"] == [section, "runtime.threads"]


@EACH_STAGE
def test_a_stage_is_called_with_all_its_inputs(stage: Stage) -> None:
    """The sub-command is its name, the flags are the fields of its `Inputs`, and each path is a dependency."""
    entry = definition(DVC["stages"][stage.name])
    shell, program, name, *words = entry["cmd"].split()
    called = f"{stage.name}@${{key}}" if stage.per_iteration else stage.name
    assert (shell, program, name) == ("exec", "tongyeok", called)
    if words[0] == "${item.inputs}":  # of the derived flow
        words[:1] = ["--manifest", "outputs/manifest", "--hubert", "outputs/${item.source}"]
    if words[0] == "${flow.judge.inputs}":
        words[:1] = ["--recognizer", "${flow.judge.depends}"]
    given = dict(zip(words[::2], words[1::2], strict=True))
    outputs = given.pop("--outputs")
    assert [outputs] == entry["outs"]
    fields = runner.interface(stage).inputs.__dataclass_fields__
    assert sorted(given) == sorted(f"--{field.replace('_', '-')}" for field in fields)
    assert set(given.values()) <= set(entry["deps"])


@EACH_STAGE
def test_nothing_trains_on_what_no_one_checked(stage: Stage) -> None:
    """Whatever reads the units, beyond their health check, also waits for that check."""
    deps = definition(DVC["stages"][stage.name])["deps"]
    if "outputs/units" in deps and stage.name != "unit_health":
        waits = {"outputs/unit_health/metrics.json", "outputs/bitext", "outputs/vocoder"}
        assert waits & set(deps)


@pytest.mark.parametrize("entry", [*STAGES, *VERBS], ids=lambda entry: entry.name)
def test_a_stage_or_verb_has_a_test_file(entry: Stage) -> None:
    """tests/unit mirrors src: the module a/b.py is tested in tests/unit/a/test_b.py."""
    folder, _, module = entry.module.removeprefix("tongyeok.").rpartition(".")
    assert (ROOT / "tests" / "unit" / folder / f"test_{module}.py").is_file()


def test_the_contract_on_stages_lists_every_stage() -> None:
    """`Stages never import stages` in pyproject.toml names the registry's modules."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        entry for entry in project["tool"]["importlinter"]["contracts"] if entry["name"] == "Stages never import stages"
    )
    assert contract["modules"] == [stage.module for stage in STAGES]


def test_everything_is_pinned() -> None:
    """constraints.txt gives one version to every dependency that pyproject.toml names, the same where it gives one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if not line.startswith("#"))
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    for requirement in [*project["dependencies"], *extras]:
        name, _, version = re.sub(r"\[.*?\]", "", requirement).lower().replace("_", "-").partition("==")
        assert name in pins, f"{name} is not in constraints.txt"
        assert version in {"", pins[name]}
