"""The seam between what a sharded stage computes and where: a job, its parts, and an executor that does them.

A job is plain values, so that it can be sent to another process or machine, and loads its models there. Each part
becomes bytes. Executors differ in where parts are computed, never in what comes out.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from tongyeok.base.files import whole, write_text
from tongyeok.errors import TongyeokError

Part = TypeVar("Part")
Part_contra = TypeVar("Part_contra", contravariant=True)
DEVICE = "device.txt"  # in the scratch folder: what its shards were computed by
CPUINFO = Path("/proc/cpuinfo")


class Job(Protocol[Part_contra]):
    """What all parts of a stage share: a frozen dataclass of plain values and absolute paths."""

    @property
    def needs(self) -> Sequence[Path]:
        """Files and folders that it reads; they must be there wherever it is opened."""
        ...

    def open(self, *, progress: bool) -> Callable[[Part_contra], bytes]:
        """Load the models; what returns makes a part's bytes, and shows its progress where it may."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A finished part: its name, its bytes, and the kind of device that computed it."""

    name: str
    content: bytes
    device: str


Found = Generator[Made, None, None]


class Executor(Protocol):
    """Somewhere to compute parts."""

    def run(self, job: Job[Part], parts: Mapping[str, Part]) -> Found:
        """Each of the named parts as it is finished, in whatever order.

        Raises:
            TongyeokError: what computing a part raises, or that it was lost too often with the process it was in.
        """
        ...


class Here:
    """This process does all parts, one after the other."""

    def run(self, job: Job[Part], parts: Mapping[str, Part]) -> Found:
        """Open the job if there is anything to do, and do it."""
        if parts:
            compute = job.open(progress=True)
            for name, part in parts.items():
                yield Made(name=name, content=compute(part), device=device_kind())


def write_shards(job: Job[Part], parts: Mapping[str, Part], *, executor: Executor, scratch: Path) -> list[Path]:
    """Compute the parts whose file `scratch/<name>` is not there yet, each written whole, and list all in order.

    Raises:
        TongyeokError: a part failed, or parts were computed by different kinds of device: their sums are rounded in
            different ways, so that the outputs would be those of neither.
    """
    paths = {name: scratch / name for name in parts}
    missing = {name: part for name, part in parts.items() if not paths[name].is_file()}
    with closing(executor.run(job, missing)) as found:  # what it still computes ends when a shard is refused
        for made in found:
            _check_device(made, scratch)
            with whole(paths[made.name]) as partial:
                partial.write_bytes(made.content)
    return list(paths.values())


def remove_shards(paths: Sequence[Path]) -> None:
    """Remove shards whose content stands in whole outputs."""
    for path in paths:
        path.unlink()
        (path.parent / DEVICE).unlink(missing_ok=True)


def _check_device(made: Made, scratch: Path) -> None:
    path = scratch / DEVICE
    if not path.is_file():
        write_text(path, f"{made.device}\n")
    before = path.read_text(encoding="utf-8").rstrip("\n")
    if made.device != before:
        raise TongyeokError(
            f"shard {made.name} was computed by {made.device}, earlier ones by {before}, which rounds sums in another "
            f"way; go on with devices like those, or remove {scratch} to begin anew on devices that are all alike"
        )


def device_kind() -> str:
    """The kind of device that this process computes on; the same kind and the same code give the same bytes."""
    import torch  # noqa: PLC0415  heavy, and stages that are not sharded import this module too

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "CPU")
    return f"{model} {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
