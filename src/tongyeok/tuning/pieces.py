"""What trials are made of: outputs of the flow's stages, each made once and kept under the hash of all it depends on.

A folder's name is a digest of the stage, its settings, its inputs, our code, the threads, and whether there is a GPU.
So a trial makes only what its parameters change, studies share what they have in common, and a trial that is tried
again goes on where its worker died: finished pieces are there, and trainings resume from the piece's scratch folder.
"""

import dataclasses
import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tongyeok import config, runner, workplace
from tongyeok.base.stage import Context
from tongyeok.errors import TongyeokError
from tongyeok.registry import BY_NAME

KEY_LETTERS = 16

Build = Callable[[Path, Path], object]  # writes into the first folder, may keep resumable state in the second
Watch = Callable[[str, int, Mapping[str, float]], None]  # stage, step, values of its training curves


class GivenUpError(TongyeokError):
    """A trial that is not worth going on with; what it has of unfinished trainings is not kept."""


class Pieces:
    """A folder of pieces, shared by all trials and workers of a machine.

    Args:
        folder: where they lie.
        threads: of each stage; they decide on the last bits, so that pieces of other threads are others.
        watch: hears the curves of trainings.
    """

    def __init__(self, folder: Path, *, threads: int, watch: Watch) -> None:
        self._folder, self._threads, self._watch = folder, threads, watch
        self._digests: dict[Path, str] = {}
        self._code = workplace.code_digest()

    def stage(
        self, name: str, params: Mapping[str, Any], inputs: Mapping[str, Path], *, item: str | None = None
    ) -> Path:
        """The outputs of a stage, by its own `run`.

        Args:
            name: of the stage.
            params: whole parameters, of which it reads its section.
            inputs: the stage's inputs by their names.
            item: the iteration, for a stage that has them.

        Raises:
            ConfigError: its section breaks a rule.
            TongyeokError: what the stage raises.
        """
        interface = runner.interface(BY_NAME[name])
        called = name if item is None else f"{name}.{item}"
        cfg = config.build(interface.config, config.pick(params, name, item, path=Path("params.yaml")), where=called)

        def build(outputs: Path, scratch: Path) -> None:
            context = Context(scratch=scratch, threads=self._threads, on_metrics=partial(self._watch, name))
            interface.module.run(cfg, inputs=interface.inputs(**inputs), outputs=outputs, context=context)

        return self.once(name, {"cfg": dataclasses.asdict(cfg)}, inputs, build)

    def once(self, name: str, settings: Mapping[str, object], inputs: Mapping[str, Path], build: Build) -> Path:
        """The folder that `build` makes of `inputs` under `settings`, which is called only where it is missing.

        Others who want the same piece meanwhile wait for it.
        """
        facts = {
            "settings": settings,
            "inputs": {kind: self.digest(path) for kind, path in sorted(inputs.items())},
            "code": self._code,
            "threads": self._threads,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
        }
        described = json.dumps(facts, sort_keys=True, default=str)
        home = self._folder / name
        target = home / hashlib.sha256(described.encode()).hexdigest()[:KEY_LETTERS]
        if target.is_dir():
            return target
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home / f".{target.name}.lock"):
            if target.is_dir():
                return target
            outputs, scratch = home / f".{target.name}.partial", home / f".{target.name}.scratch"
            shutil.rmtree(outputs, ignore_errors=True)
            outputs.mkdir()
            scratch.mkdir(exist_ok=True)
            try:
                build(outputs, scratch)
            except GivenUpError:
                shutil.rmtree(scratch)
                raise
            workplace.put_in_place(outputs, target)
            shutil.rmtree(scratch)
        return target

    def digest(self, path: Path) -> str:
        """A digest of a piece or of given files, over the bytes that `workplace.sampled_digest` looks at."""
        if path not in self._digests:
            ours = self._folder.resolve() in path.resolve().parents
            self._digests[path] = path.name if ours else workplace.sampled_digest(path)
        return self._digests[path]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
