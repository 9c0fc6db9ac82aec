"""Which of our source files a stage imports, directly or not; `python tests/architecture/closure.py` writes dvc.yaml.

The registry's module names, imports inside functions and module names given as strings (`import_module`, `-m`) count;
imports under `TYPE_CHECKING` do not. An `__init__` with nothing but a docstring or the
version is left out.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tongyeok.registry import STAGES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PACKAGES = ("tongyeok", "tongyeok_fairseq")


def code_of(module: str) -> list[str]:
    """Sorted paths, relative to the project root, of all our files that importing `module` may execute."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += _imports(name)
    paths = (_file(name) for name in seen)
    return sorted(path.relative_to(ROOT).as_posix() for path in paths if path is not None and not _is_trivial(path))


@cache
def _file(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


@cache
def _imports(module: str) -> tuple[str, ...]:
    path = _file(module)
    if path is None:
        return ()
    found = {module.rpartition(".")[0], *_named(ast.parse(path.read_text(encoding="utf-8")))}
    return tuple(sorted(name for name in found if name.partition(".")[0] in PACKAGES and _file(name)))


def _named(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute here"
            yield child.module or ""
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
        yield from _named(child)


def _is_trivial(path: Path) -> bool:
    """A module of a docstring and at most `__version__`."""
    _, *body = [*ast.parse(path.read_text(encoding="utf-8")).body] or [None]
    return all(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__" for node in body)


def definition(stage: dict[str, Any]) -> dict[str, Any]:
    """The part of a stage in `dvc.yaml` that holds `deps`, under `do` where there is a `foreach`."""
    return stage.get("do", stage)


def main() -> None:
    """Bring the code dependencies of every stage in `dvc.yaml` up to date, keeping everything else as it stands."""
    lines = (ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()
    for stage in STAGES:
        start = next(i for i, line in enumerate(lines) if line == f"  {stage.name}:")
        first = next(i for i in range(start, len(lines)) if lines[i].strip() == "deps:") + 1
        last = first
        while lines[last].strip().startswith("- "):
            last += 1
        indent = " " * (len(lines[first - 1]) - len(lines[first - 1].lstrip()) + 2)
        data = [line for line in lines[first:last] if not line.strip().startswith("- src/")]
        lines[first:last] = data + [f"{indent}- {path}" for path in code_of(stage.module)]
    (ROOT / "dvc.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
