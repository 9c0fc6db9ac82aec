"""One section of `params.yaml` -> one frozen dataclass, strictly.

Unknown keys, missing keys and wrong types are refused and named. YAML and pydantic stop here: stages see plain
dataclasses.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

import yaml

from tongyeok.errors import ConfigError

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def section(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, keyword-only, slotted dataclass that `build` fills strictly."""
    made = dataclass(frozen=True, kw_only=True, slots=True)(cls)
    made.__pydantic_config__ = {"extra": "forbid", "strict": True}  # type: ignore[attr-defined]
    return made


def build(cls: type[T], values: object, *, where: str) -> T:
    """Make a section dataclass from plain values, as they stand in YAML.

    Args:
        cls: a class decorated with `section`.
        values: mapping of field names to plain values.
        where: how to name this section in messages, e.g. `params.yaml: kmeans.0`.

    Raises:
        ConfigError: unknown, missing or ill-typed fields, or a value that breaks a rule of the section.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  heavy, and only needed here

    try:
        return TypeAdapter(cls).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(lines)) from None


def _explain(item: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in item["loc"]) or "section"
    if item["type"] == "unexpected_keyword_argument":
        return f"unknown field `{field}`: remove it or correct its name"
    if item["type"] in {"missing", "missing_argument", "missing_keyword_only_argument"}:
        return f"field `{field}` is missing: add it (run `tongyeok params` to compose a complete file)"
    return f"field `{field}`: {item['msg']}, got {item['input']!r}"


def read_params(path: Path) -> dict[str, Any]:
    """Read a whole `params.yaml` as plain values.

    Raises:
        ConfigError: the file is missing or is not a mapping.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; run `tongyeok params` to compose it from conf/")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return values


def pick(params: Mapping[str, Any], name: str, item: str | None, *, path: Path) -> object:
    """The plain values of one section, or of one iteration of it."""
    if name not in params:
        raise ConfigError(f"{path}: section `{name}` is missing; run `tongyeok params` to compose a complete file")
    values = params[name]
    if item is None:
        return values
    if not isinstance(values, dict) or item not in values:
        known = ", ".join(values) if isinstance(values, dict) else type(values).__name__
        raise ConfigError(f"{path}: section `{name}` has no iteration {item!r}; it has: {known}")
    return values[item]


def override(params: dict[str, Any], settings: Sequence[str]) -> None:
    """Apply `section.field=value` settings (values in YAML) to `params` in place.

    Raises:
        ConfigError: a setting without `=` or a path that does not exist.
    """
    for setting in settings:
        dotted, equals, text = setting.partition("=")
        *parents, last = dotted.split(".")
        target: Any = params
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if not equals or not isinstance(target, dict) or last not in target:
            raise ConfigError(f"--set {setting}: expected `section.field=value` with an existing field")
        target[last] = yaml.safe_load(text)
