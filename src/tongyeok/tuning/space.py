"""A search space, `conf/tune/<name>.yaml`: what a study varies, what it judges by, and what a trial may cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tongyeok import config, runner
from tongyeok.config import section
from tongyeok.errors import ConfigError
from tongyeok.registry import BY_NAME
from tongyeok.tuning.dimension import Dimension, Value
from tongyeok.tuning.figures import FIGURES

Kind = Literal["units", "translator"]
SECTIONS = {"units": ("kmeans", "labels", "hubert", "units"), "translator": ("bitext", "translator")}
MISSING = object()
LAST = "last"  # stands for the last HuBERT iteration in the names of dimensions


@section
class Pruning:
    """When a trial is given up; null switches a rule off."""

    pnmi_share: float | None  # of the first trial's PNMI; below it the units get no vocoder (needs the corpus's phones)
    startup_trials: int | None  # trials that finish before running losses are compared with their median; null: never
    warmup_percent: int  # of a training that passes before its losses count

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.pnmi_share is not None and not 0 < self.pnmi_share <= 1:
            raise ValueError(f"pnmi_share: expected 0 < share <= 1 or null, got {self.pnmi_share}")
        if self.startup_trials is not None and self.startup_trials < 1:
            raise ValueError(f"startup_trials: expected at least 1 or null, got {self.startup_trials}")
        if not 0 <= self.warmup_percent < 100:  # noqa: PLR2004
            raise ValueError(f"warmup_percent: expected 0 to 99, got {self.warmup_percent}")


@section
class Space:
    """One file of `conf/tune/`."""

    kind: Kind  # units: codebook and what follows from it; translator: bitext and Transformer on the units there are
    figures: tuple[str, ...]  # what a trial is judged by on valid; several make a study of several objectives
    languages: tuple[str, ...] | None  # whose resynthesis is heard; null: all that the recogniser understands
    trials: int  # finished or pruned, over all workers; the settings in force are the first
    random_trials: int  # drawn at random before the sampler learns from them
    seed: int  # of the sampler, and of the sentences held out of train
    training_share: float  # of the translator's updates, warm-up included, that a trial trains
    fixed: dict[str, Value]  # settings of every trial, such as the vocoder's budget; never promoted
    pruning: Pruning
    dimensions: dict[str, Dimension]  # `section.field`, in the words of params.yaml; `kmeans.last` is the last codebook

    def __post_init__(self) -> None:
        """Check the rules."""
        self._check_figures()
        for name in ("trials", "random_trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")
        if not 0 < self.training_share <= 1:
            raise ValueError(f"training_share: expected 0 < share <= 1, got {self.training_share}")
        if not self.dimensions:
            raise ValueError("dimensions: expected at least one, got none; name a setting to search")
        allowed = SECTIONS[self.kind]
        for name in self.dimensions:
            if name.partition(".")[0] not in allowed:
                raise ValueError(
                    f"dimensions: a study of {self.kind} varies {', '.join(allowed)}, got {name}; remove it"
                )
        twice = sorted(set(self.fixed) & set(self.dimensions))
        if twice:
            raise ValueError(f"fixed: {twice[0]} stands in `dimensions` too; keep one of the two")

    def _check_figures(self) -> None:
        if not self.figures or len(set(self.figures)) != len(self.figures):
            raise ValueError(f"figures: expected at least one, each once, got {list(self.figures)}")
        for name in self.figures:
            figure = FIGURES.get(name)
            if figure is None or self.kind not in figure.kinds:
                known = ", ".join(other for other, found in FIGURES.items() if self.kind in found.kinds)
                raise ValueError(f"figures: expected some of {known} for {self.kind}, got {name!r}")
        if self.kind == "units" and "asr_bleu" in self.figures and self.pruning.startup_trials is not None:
            raise ValueError(
                "pruning.startup_trials: expected null where translation judges units, since the vocoder's loss asks "
                f"for other ones, got {self.pruning.startup_trials}; write null"
            )

    @property
    def directions(self) -> list[Literal["minimize", "maximize"]]:
        """Optuna's direction of each figure."""
        return [FIGURES[name].direction for name in self.figures]

    def retrains(self, last: str) -> bool:
        """Whether HuBERT itself depends on what is varied."""
        return any(
            not name.startswith(("units.", f"kmeans.{last}.", "bitext.", "translator.")) for name in self.resolved(last)
        )

    def resolved(self, last: str) -> dict[str, Dimension]:
        """The dimensions with the last iteration's number in place of `last`."""
        return {resolve(name, last): dimension for name, dimension in self.dimensions.items()}


def resolve(name: str, last: str) -> str:
    """A setting's name with the last iteration's number in place of `last`."""
    return name.replace(f".{LAST}.", f".{last}.", 1)


def known(conf: Path) -> list[str]:
    """The names of the spaces in `conf/tune/`."""
    return sorted(path.stem for path in (conf / "tune").glob("*.yaml"))


def read_space(conf: Path, name: str) -> Space:
    """Read `conf/tune/<name>.yaml`.

    Raises:
        ConfigError: there is no such file, a field is unknown, missing or ill-typed, or a rule is broken.
    """
    path = conf / "tune" / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"{path}: no such search space; there are: {', '.join(known(conf)) or 'none'}")
    return config.build(Space, config.read_params(path), where=str(path))


def check(space: Space, params: Mapping[str, Any], *, where: str) -> dict[str, Value]:
    """Make sure that a space fits `params.yaml`: every setting exists, its extremes obey the stage's rules.

    Returns:
        The settings in force, which the space must hold: a study begins with them, so that it can only improve.

    Raises:
        ConfigError: it does not fit; every dimension that does not is named.
    """
    last = params["flow"]["last"]
    problems, now = [], {}
    for name, value in space.fixed.items():
        problems += _faults(params, resolve(name, last), value)
    for name, dimension in space.resolved(last).items():
        present = look_up(params, name)
        if present is MISSING:
            problems.append(f"{name}: no such setting in params.yaml; correct its name")
            continue
        now[name] = present
        if not dimension.holds(present):
            problems.append(f"{name}: expected a range that holds the setting in force, {present}, got {dimension}")
        for value in dimension.extremes:
            problems += _faults(params, name, value)
    if problems:
        raise ConfigError("\n  ".join([f"{where} does not fit the parameters:", *problems]))
    return now


def look_up(params: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  any plain value
    """The value of `section.field`; `MISSING` where there is none."""
    value: Any = params
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value


def put(params: dict[str, Any], name: str, value: Value) -> None:
    """Replace the value of an existing `section.field` in place."""
    *parents, field = name.split(".")
    target: Any = params
    for part in parents:
        target = target[part]
    assert field in target, name
    target[field] = value


def _faults(params: Mapping[str, Any], name: str, value: Value) -> list[str]:
    """What a stage says to one changed setting, all others being as they are."""
    stage, *parts = name.split(".")
    item = parts[0] if stage in BY_NAME and BY_NAME[stage].per_iteration else None
    if stage not in BY_NAME or look_up(params, name) is MISSING:
        return [f"{name}: no such setting in params.yaml; correct its name"]
    changed = _copy(params[stage])
    put({stage: changed}, name, value)
    try:
        config.build(
            runner.interface(BY_NAME[stage]).config, changed[item] if item else changed, where=f"{name}={value}"
        )
    except ConfigError as error:
        return [str(error)]
    return []


def _copy(values: Any) -> Any:  # noqa: ANN401  plain values
    return {key: _copy(value) for key, value in values.items()} if isinstance(values, dict) else values
