"""Write a trial's settings into the Hydra groups of a profile, keeping comments and everything else as it stands."""

import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from ruamel.yaml import YAML

from tongyeok.errors import ConfigError
from tongyeok.tuning.dimension import Value
from tongyeok.tuning.study import Opened, best

WIDTH = 4096  # of lines; those that are there are not broken anew
COMPOSED_BY = "#   tongyeok params "  # the line of params.yaml that tells how it was made


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """How a `params.yaml` was composed."""

    profile: str
    overrides: tuple[str, ...]


def composition(params: Path) -> Composition:
    """What the header of a `params.yaml` says.

    Raises:
        ConfigError: the file is missing, has no such header, or was composed with overrides of other kinds.
    """
    lines = params.read_text(encoding="utf-8").splitlines() if params.is_file() else []
    found = [shlex.split(line.removeprefix(COMPOSED_BY)) for line in lines[:5] if line.startswith(COMPOSED_BY)]
    if not found or found[0][:1] != ["--profile"] or len(found[0]) < 2:  # noqa: PLR2004
        raise ConfigError(
            f"{params}: expected a header `{COMPOSED_BY.strip('# ')} --profile …`, got none; compose it with "
            "`tongyeok params`"
        )
    _, profile, *overrides = found[0]
    return Composition(profile=profile, overrides=tuple(overrides))


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


def settings_of(opened: Opened, number: int | None) -> dict[str, Value]:
    """The settings to promote of a trial, of the best one where no number is given.

    Raises:
        ConfigError: there is no such finished trial, or several are best.
    """
    if number is None:
        candidates = best(opened)
        if len(candidates) != 1:
            numbers = ", ".join(str(trial.number) for trial in candidates) or "none yet"
            raise ConfigError(f"--trial: expected one of the trials that no other beats in all figures: {numbers}")
        return dict(candidates[0].user_attrs["settings"])
    for trial in opened.trials(TrialState.COMPLETE):
        if trial.number == number:
            return dict(trial.user_attrs["settings"])
    done = ", ".join(str(trial.number) for trial in opened.trials(TrialState.COMPLETE)) or "none"
    raise ConfigError(f"--trial {number}: expected a finished trial ({done}); choose one by `tongyeok tune report`")
