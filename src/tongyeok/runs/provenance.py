"""Where a run comes from: git commit, hashes of its inputs, upstream stages and model files, and the rebuild."""

import hashlib
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tongyeok.base.files import sha256
from tongyeok.registry import called

LOCK = Path("dvc.lock")
MODEL_SUFFIXES = {".pt", ".safetensors"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Hash of each input, the stages upstream of them (nearest first), and upstream stage -> SHA-256 of its model."""

    digests: dict[str, str]
    stages: tuple[str, ...]
    models: dict[str, str]


def origin(inputs: Mapping[str, Path]) -> Origin:
    """Look the inputs up in `dvc.lock`; outside DVC, hash them.

    While DVC runs a stage, its lock file describes everything upstream as it lies on disk.
    """
    lock: dict[str, Any] = {}
    if "DVC_STAGE" in os.environ and LOCK.is_file():
        lock = (yaml.safe_load(LOCK.read_text(encoding="utf-8")) or {}).get("stages", {})
    makers: dict[str, tuple[str | None, dict[str, Any]]] = {
        out["path"]: (stage, out) for stage, entry in lock.items() for out in entry.get("outs", [])
    }
    digests: dict[str, str] = {}
    models: dict[str, str] = {}
    stages: list[str] = []
    for name, path in inputs.items():
        _, out = makers.get(path.as_posix(), (None, {}))
        digests[name] = out.get("md5") or tree_digest(path)
        if not makers:
            models |= {f"{name}/{file}": digest for file, digest in _model_files(path).items()}
    waiting = [path.as_posix() for path in inputs.values()]
    while waiting:
        stage, out = makers.get(waiting.pop(0), (None, {}))
        if stage is None or called(stage) in stages:
            continue
        stages.append(called(stage))
        models |= {f"{called(stage)}/{file}": digest for file, digest in _model_files(Path(out["path"])).items()}
        waiting += [dep["path"] for dep in lock[stage].get("deps", [])]
    return Origin(digests=digests, stages=tuple(stages), models=models)


def models(outputs: Path) -> dict[str, str]:
    """Name -> SHA-256 of each model file that lies directly in a stage's output folder."""
    return _model_files(outputs)


def _model_files(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.suffix in MODEL_SUFFIXES}


def tree_digest(path: Path) -> str:
    """32 hexadecimal digits over the names and bytes of a file or folder."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path)}\n{sha256(file)}\n".encode())
    return digest.hexdigest()[:32]


def git_tags() -> dict[str, str]:
    """The commit, and whether tracked files differ from it; empty outside a repository."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(changed)).lower()}


def _git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607  the user's git
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    ).stdout.strip()


def rebuild() -> str | None:
    """A name for the `dvc` process that this stage runs under, unique on this machine; None outside DVC."""
    import psutil  # noqa: PLC0415  only tracked stages need it

    try:
        for parent in psutil.Process().parents():
            words = [Path(word).name for word in parent.cmdline()[:3]]
            if "dvc" in words:
                return f"{round(parent.create_time() * 1000)}-{parent.pid}"
    except psutil.Error:
        return None
    return None


def unique() -> str:
    """A fresh name for a run."""
    return uuid.uuid4().hex
