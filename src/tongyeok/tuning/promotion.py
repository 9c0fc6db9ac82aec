"""Write a trial's settings into the Hydra groups of a profile, keeping comments and everything else as it stands."""

import io
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ruamel.yaml import YAML

from tongyeok.errors import ConfigError
from tongyeok.tuning.dimension import Value
from tongyeok.tuning.space import MISSING, look_up
from tongyeok.tuning.study import Opened, best

WIDTH = 4096  # of lines; those that are there are not broken anew
COMPOSED_BY = "#   tongyeok params "  # the line of params.yaml that tells how it was made


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """How a `params.yaml` was composed."""

    profile: str
    overrides: tuple[str, ...]


def composed_by(params: Path) -> Composition | None:
    """What the header of a `params.yaml` says; None where it has none, or says something else."""
    lines = params.read_text(encoding="utf-8").splitlines() if params.is_file() else []
    found = [shlex.split(line.removeprefix(COMPOSED_BY)) for line in lines[:5] if line.startswith(COMPOSED_BY)]
    if not found or found[0][:1] != ["--profile"] or len(found[0]) < 2:  # noqa: PLR2004
        return None
    _, profile, *overrides = found[0]
    return Composition(profile=profile, overrides=tuple(overrides))


def composition(params: Path) -> Composition:
    """What the header of a `params.yaml` says.

    Raises:
        ConfigError: the file is missing, has no such header, or was composed with overrides of other kinds.
    """
    made = composed_by(params)
    if made is None:
        raise ConfigError(
            f"{params}: expected a header `{COMPOSED_BY.strip('# ')} --profile …`, got none; compose it with "
            "`tongyeok params`"
        )
    return made


def check_same(opened: Opened, made: Composition, present: Mapping[str, Any]) -> None:
    """Make sure that the parameters are of the project that was studied.

    Raises:
        ConfigError: profile, corpus or flow is another one.
    """
    plan = opened.plan
    other = [name for name in ("flow", "corpus") if _plain(plan.params.get(name)) != _plain(present.get(name))]
    if plan.profile not in {None, made.profile}:
        other.insert(0, f"profile ({plan.profile})")
    if other:
        raise ConfigError(
            f"study {opened.study.study_name!r} was begun with another {', '.join(other)} than params.yaml has, which "
            f"is of profile {made.profile}; compose what was studied with `tongyeok params`, then promote"
        )


def check_effect(composed: Mapping[str, Any], made: Composition, settings: Mapping[str, Value]) -> None:
    """Make sure that what was written into `conf/` is what it composes.

    Raises:
        ConfigError: something else in `conf/` sets one of the settings.
    """
    for name, found in _others(composed, settings).items():
        raise ConfigError(
            f"{name}: {settings[name]} in conf/{name.partition('.')[0]}/{made.profile}.yaml would not take effect, "
            f"{found} is composed; remove what sets it elsewhere in conf/, then promote again"
        )


def in_force(composed: Mapping[str, Any], settings: Mapping[str, Value]) -> bool:
    """Whether composed parameters have all the settings."""
    return not _others(composed, settings)


def _others(composed: Mapping[str, Any], settings: Mapping[str, Value]) -> dict[str, object]:
    """What composed parameters have in place of settings."""
    found = {name: look_up(composed, name) for name in settings}
    return {name: "nothing" if there is MISSING else there for name, there in found.items() if there != settings[name]}


def rewrite(conf: Path, made: Composition, settings: Mapping[str, Value]) -> dict[Path, str]:
    """The new texts of the group files that a profile takes, with the settings in them.

    Args:
        conf: folder of Hydra groups.
        made: profile and overrides that `params.yaml` was composed with.
        settings: `section.field` -> value.

    Raises:
        ConfigError: the profile borrows a group from another, or an override would hide a setting.
    """
    texts: dict[Path, str] = {}
    chosen = _choices(conf, made)
    for name, value in settings.items():
        group, *_ = name.split(".")
        hidden = [word for word in made.overrides if word.lstrip("+~").startswith((f"{name}=", f"{name}."))]
        if hidden:
            raise ConfigError(
                f"{hidden[0]}: params.yaml was composed with this override, which would hide the promoted "
                f"{name}={value}; compose it without"
            )
        choice = chosen.get(group)
        if choice is None or choice != made.profile:
            raise ConfigError(
                f"{group}: profile {made.profile!r} takes it from conf/{group}/{choice}.yaml, which others use; give "
                f"the profile a conf/{group}/{made.profile}.yaml of its own, or write {name}={value} by hand"
            )
        path = conf / group / f"{choice}.yaml"
        texts[path] = _changed(texts.get(path) or path.read_text(encoding="utf-8"), name.split(".")[1:], value)
    return texts


def _choices(conf: Path, made: Composition) -> dict[str, str]:
    path = conf / f"{made.profile}.yaml"
    if not path.is_file():
        raise ConfigError(f"{path}: no such profile; compose params.yaml again with `tongyeok params`")
    entries: Any = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["defaults"]
    groups = {name: choice for entry in entries if isinstance(entry, dict) for name, choice in entry.items()}
    overridden = [word.partition("=") for word in made.overrides]
    return {**groups, **{name: choice for name, _, choice in overridden if name in groups}}


def _changed(text: str, parts: Sequence[str], value: Value) -> str:
    """A YAML text with one value replaced, or added where the file only changes a part of another one."""
    yaml = YAML()
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    document = yaml.load(text)
    target = document
    for part in parts[:-1]:
        if part not in target:
            target[part] = {}
        target = target[part]
    target[parts[-1]] = value
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def trial_of(opened: Opened, number: int | None) -> FrozenTrial:
    """The finished trial to promote, the best one where no number is given.

    Raises:
        ConfigError: there is no such finished trial, or several are best.
    """
    if number is None:
        candidates = best(opened)
        if len(candidates) != 1:
            numbers = ", ".join(str(trial.number) for trial in candidates) or "none yet"
            raise ConfigError(f"--trial: expected one of the trials that no other beats in all figures: {numbers}")
        return candidates[0]
    for trial in opened.trials(TrialState.COMPLETE):
        if trial.number == number:
            return trial
    done = ", ".join(str(trial.number) for trial in opened.trials(TrialState.COMPLETE)) or "none"
    raise ConfigError(f"--trial {number}: expected a finished trial ({done}); choose one by `tongyeok tune report`")


def _plain(values: object) -> str:
    return json.dumps(values, sort_keys=True)
