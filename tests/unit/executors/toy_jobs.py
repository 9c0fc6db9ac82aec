"""Jobs for executors to run: one that costs nothing, and the stage's own with an eye on where they are computed."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tongyeok.errors import UnitError
from tongyeok.speech2unit.shards import Stretch
from tongyeok.speech2unit.units import Encoding

PATIENCE_S = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubling:
    """Doubles numbers; each process notes itself in `folder`, and dies once, or always, over the number `fatal`.

    Over the number `endless` it says that it waits, and does.
    """

    folder: Path
    fatal: int | None = None
    always: bool = False
    endless: int | None = None

    @property
    def needs(self) -> tuple[Path, ...]:
        """The folder."""
        return (self.folder,)

    def open(self, *, progress: bool) -> Callable[[int], bytes]:
        """Note the process, its GPU and its threads."""
        surroundings = f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {os.environ.get('OMP_NUM_THREADS')} {progress}"
        (self.folder / f"opened-{os.getpid()}").write_text(surroundings, encoding="ascii")

        def compute(number: int) -> bytes:
            if number < 0:
                raise UnitError(f"{number}: expected at least 0")
            if number == self.endless:
                (self.folder / "waits").touch()
                time.sleep(PATIENCE_S)
            died = self.folder / "died"
            if number == self.fatal and (self.always or not died.exists()):
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return str(2 * number).encode()

        return compute


@dataclass(frozen=True, kw_only=True)
class Fragile(Encoding):
    """The stage's job; the first process to begin with a shard writes its id into `log` and is killed, once."""

    log: Path

    def open(self, *, progress: bool) -> Callable[[Stretch], bytes]:
        """Load what the stage loads, and die where it is told to."""
        compute = Encoding.open(self, progress=progress)

        def die_first(part: Stretch) -> bytes:
            try:
                self.log.open("x").close()
            except FileExistsError:
                return compute(part)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        return die_first


@dataclass(frozen=True, kw_only=True)
class Watched(Encoding):
    """The stage's job on Ray; shards that come to the node `doomed` are noted in `log` and never finished."""

    log: Path
    doomed: str

    def open(self, *, progress: bool) -> Callable[[Stretch], bytes]:
        """Load what the stage loads; elsewhere than on the doomed node, begin when that one has a shard."""
        import ray

        compute = Encoding.open(self, progress=progress)
        here = ray.get_runtime_context().get_node_id()

        def note(part: Stretch) -> bytes:
            if here == self.doomed:
                self.log.write_text(part.title, encoding="utf-8")
                time.sleep(PATIENCE_S)
            deadline = time.monotonic() + PATIENCE_S
            while not self.log.exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            return compute(part)

        return note
