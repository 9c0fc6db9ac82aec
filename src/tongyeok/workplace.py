"""Scratch folders of runs, digests of what runs depend on, and how a finished folder gets into its place."""

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tongyeok.base import files
from tongyeok.errors import TongyeokError, TrainingError

if TYPE_CHECKING:
    from tongyeok.base.team import Team

WORKPLACE = Path(".tongyeok")
WORD = "word"  # file by which processes know that they share one scratch folder
SAMPLED_BYTES = 1 << 16
CODE = (Path(__file__).parent, Path(__file__).parent.with_name("tongyeok_fairseq"))


def lead(team: "Team", scratch: Path) -> Path:
    """Make the folder of resumable state, and tell the others of a word in it that they must see there."""
    state = scratch / "state"
    state.mkdir(exist_ok=True)
    if team.size > 1:
        word = uuid.uuid4().hex
        files.write_text(scratch / WORD, word)
        team.told(word)
    return state


def follow(team: "Team", scratch: Path) -> Path:
    """The folder of resumable state that the first process made.

    Raises:
        TrainingError: it is not there, so that files, settings or code differ between the processes.
        SystemExit: the first process ended, and has said why.
    """
    try:
        word = team.told(None)
    except RuntimeError:
        raise SystemExit(2) from None
    path = scratch / WORD
    if not path.is_file() or path.read_text(encoding="utf-8") != word:
        raise TrainingError(
            f"{path} on {socket.gethostname()}: expected what the first process wrote there, got "
            f"{'something else' if path.is_file() else 'nothing'}; let all processes run in one checkout on a shared "
            "file system, with the same parameters, inputs and code"
        )
    return scratch / "state"


@contextmanager
def locked(name: str, home: Path, fingerprint: str) -> Iterator[Path]:
    """A locked scratch folder for one configuration, inputs and code; other fingerprints' leftovers are removed.

    Raises:
        TongyeokError: another process has it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TongyeokError(f"{name} already runs in this checkout; wait for it or stop it") from None
        for stale in sorted(home.iterdir()):
            if stale.name not in {"lock", fingerprint}:
                shutil.rmtree(stale)
        scratch = home / fingerprint
        scratch.mkdir(exist_ok=True)
        yield scratch
        shutil.rmtree(scratch)


def fingerprint(cfg: Any, roots: Iterable[Path], *, threads: int) -> str:  # noqa: ANN401  each stage has its own
    """Digest of a configuration, the number of threads, the inputs' `sampled_digest`, and our code."""
    settings = {"threads": threads, **dataclasses.asdict(cfg)}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for root in [*roots, *CODE]:
        _sample_bytes(root, digest)
    return digest.hexdigest()[:16]


def sampled_digest(*roots: Path) -> str:
    """16 digits over files or folders: names, sizes, first and last 64 KiB of each file; bytecode is left out."""
    digest = hashlib.sha256()
    for root in roots:
        _sample_bytes(root, digest)
    return digest.hexdigest()[:16]


def code_digest() -> str:
    """The `sampled_digest` of our code, as this process would import it."""
    return sampled_digest(*CODE)


def _sample_bytes(root: Path, digest: "hashlib._Hash") -> None:
    for path in [root] if root.is_file() else sorted(root.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(root)}:{path.stat().st_size}".encode())
            with path.open("rb") as file:
                digest.update(file.read(SAMPLED_BYTES))
                if path.stat().st_size > 2 * SAMPLED_BYTES:
                    file.seek(-SAMPLED_BYTES, os.SEEK_END)
                digest.update(file.read(SAMPLED_BYTES))


def put_in_place(partial: Path, outputs: Path) -> None:
    """Flush a finished folder to disk and let it take the place of `outputs`."""
    for path in sorted(partial.rglob("*")):
        if path.is_file():
            files.flush(path)
    shutil.rmtree(outputs, ignore_errors=True)
    partial.rename(outputs)
