"""Run one stage: read its section, lock its scratch folder, run it into a temporary folder, log it, put it in place.

Nothing half-written is ever taken for whole: outputs appear by one rename, after everything is on disk.
"""

import ctypes
import dataclasses
import fcntl
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import time
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tongyeok import config
from tongyeok.base import files
from tongyeok.base.stage import Context
from tongyeok.errors import ConfigError, TongyeokError
from tongyeok.registry import Stage

WORKPLACE = Path(".tongyeok")
TIMINGS = WORKPLACE / "timings.jsonl"
SAMPLED_BYTES = 1 << 16
CODE = (Path(__file__).parent, Path(__file__).parent.with_name("tongyeok_fairseq"))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """What a stage's module declares: the classes of its configuration section and of its inputs."""

    module: ModuleType
    config: type[Any]
    inputs: type[Any]


def interface(stage: Stage) -> Interface:
    """Import a stage's module and read the signature of its `run(cfg, *, inputs, outputs, context)`."""
    module = importlib.import_module(stage.module)
    hints = typing.get_type_hints(module.run)
    return Interface(module=module, config=hints["cfg"], inputs=hints["inputs"])


def execute(
    stage: Stage,
    *,
    item: str | None,
    inputs: Any,  # noqa: ANN401  each stage has its own class
    outputs: Path,
    params_path: Path,
    settings: Sequence[str] = (),
    since: float | None = None,
) -> Mapping[str, float]:
    """Run `stage` and return its metrics.

    Args:
        stage: its entry in the registry.
        item: the iteration, for a stage that has them.
        inputs: an instance of the stage's `Inputs`.
        outputs: folder to write, replaced whole.
        params_path: the `params.yaml` to read.
        settings: `section.field=value`, over what it says.
        since: when the stage began (epoch seconds), for its timing; by default when this process did.

    Raises:
        ConfigError: the parameters do not fit, or an iteration is missing or unwanted.
        TongyeokError: an input is missing, or the same stage already runs on the same scratch folder.
    """
    if stage.per_iteration != (item is not None):
        form = f"{stage.name}@<iteration>" if stage.per_iteration else stage.name
        raise ConfigError(f"stage `{stage.name}` is called as `tongyeok {form}`")
    params = config.read_params(params_path)
    config.override(params, settings)
    name = stage.name if item is None else f"{stage.name}@{item}"
    where = f"{params_path}: {name.replace('@', '.')}"
    module = interface(stage)
    cfg = config.build(module.config, config.pick(params, stage.name, item, path=params_path), where=where)
    runtime = config.build(Runtime, config.pick(params, "runtime", None, path=params_path), where="runtime")
    _check_inputs(name, inputs)
    if "DVC_STAGE" in os.environ:
        die_with_parent("dvc")
    pin_threads(runtime.threads)

    from tongyeok import tracking  # noqa: PLC0415  after the threads are pinned

    with _scratch(name, cfg, inputs, threads=runtime.threads) as scratch:
        partial = outputs.with_name(f".{outputs.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        state = scratch / "state"
        state.mkdir(exist_ok=True)
        given = paths(inputs)
        with tracking.stage_run(stage, name=name, params=params, inputs=given, folder=scratch / "tracking") as tracked:
            context = Context(scratch=state, threads=runtime.threads, on_metrics=tracked.on_metrics)
            metrics = module.module.run(cfg, inputs=inputs, outputs=partial, context=context)
            put_in_place(partial, outputs)
            timings = _note_timing(name, outputs, since=since)
            tracked.finish(metrics, outputs, timings)
    return typing.cast("Mapping[str, float]", metrics)


@config.section
class Runtime:
    """Section `runtime`: what every stage shares."""

    threads: int  # CPU threads of each process; results repeat byte for byte only at a fixed number

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.threads < 1:
            raise ValueError(f"threads: expected at least 1, got {self.threads}")


def paths(inputs: Any) -> dict[str, Path]:  # noqa: ANN401
    """Name -> path of a stage's inputs; optional ones that were not given are left out."""
    given = {field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs)}
    return {name: path for name, path in given.items() if path is not None}


def _check_inputs(name: str, inputs: Any) -> None:  # noqa: ANN401
    for field, path in paths(inputs).items():
        if not path.exists():
            raise TongyeokError(f"{name}: input --{field.replace('_', '-')} {path} does not exist; run `dvc repro`")


def pin_threads(threads: int) -> None:
    """Pin the thread count of torch, BLAS and OpenMP, for speed and for repeatable sums."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[variable] = str(threads)
    # The forward and the backward pass have threads of their own. Those that rest shall not keep a core busy for long:
    # libgomp's 300,000 turns cost the demo's translator a tenth of its time, none at all cost it more.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    import threadpoolctl  # noqa: PLC0415
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)


def die_with_parent(parent: str) -> None:
    """Ask the kernel to end this process when its parent is killed, so that no orphan trains on in the same folder.

    Raises:
        TongyeokError: it was killed already.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() == 1:
        raise TongyeokError(f"`{parent}` was stopped while this started; run it again")


@contextmanager
def _scratch(name: str, cfg: object, inputs: object, *, threads: int) -> Iterator[Path]:
    """A locked scratch folder for this configuration, inputs and code; other fingerprints' leftovers are removed."""
    home = WORKPLACE / "scratch" / name.replace("@", "/")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TongyeokError(f"{name} already runs in this checkout; wait for it or stop it") from None
        fingerprint = _fingerprint(cfg, inputs, threads=threads)
        for stale in sorted(home.iterdir()):
            if stale.name not in {"lock", fingerprint}:
                shutil.rmtree(stale)
        scratch = home / fingerprint
        scratch.mkdir(exist_ok=True)
        yield scratch
        shutil.rmtree(scratch)


def _fingerprint(cfg: Any, inputs: Any, *, threads: int) -> str:  # noqa: ANN401
    """Digest of configuration, threads, inputs (names, sizes, first and last 64 KiB of each file) and our code."""
    settings = {"threads": threads, **dataclasses.asdict(cfg)}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for root in [*paths(inputs).values(), *CODE]:
        _sample_bytes(root, digest)
    return digest.hexdigest()[:16]


def sampled_digest(*roots: Path) -> str:
    """16 digits over files or folders: names, sizes, first and last 64 KiB of each file; bytecode is left out."""
    digest = hashlib.sha256()
    for root in roots:
        _sample_bytes(root, digest)
    return digest.hexdigest()[:16]


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


def _note_timing(name: str, outputs: Path, *, since: float | None) -> list[dict[str, Any]]:
    """Append wall time and peak memory of a stage to a journal; never part of a hashed output.

    Returns:
        The rows of the rebuild that this stage belongs to, itself included.
    """
    import psutil  # noqa: PLC0415

    from tongyeok.tracking import provenance  # noqa: PLC0415

    started = psutil.Process().create_time() if since is None else since
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    row = {
        "stage": name,
        "rebuild": provenance.rebuild(),
        "started": round(started, 2),
        "seconds": round(time.time() - started, 2),
        "peak_mib": round(max(peaks) / 1024),
        "outputs": str(outputs),
    }
    with TIMINGS.open("a") as journal:
        journal.write(json.dumps(row) + "\n")
    return [other for other in read_timings(TIMINGS) if other["rebuild"] == row["rebuild"]]


def read_timings(path: Path) -> list[dict[str, Any]]:
    """All rows of the timings journal: stage, rebuild, started (epoch seconds), seconds, peak_mib, outputs."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
