"""A Ray cluster that is already running: parts are its tasks, which it places, and tries again when a node is lost.

What parts need is read from a file system that all nodes share; their bytes come back through Ray's object store.
"""

import logging
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

from tongyeok import workplace
from tongyeok.base.executor import Found, Job, Made, Part
from tongyeok.errors import TongyeokError
from tongyeok.executors import worker
from tongyeok.runtime import VISIBLE

RETRIES = 5  # of a part whose node or process is lost
KNOCK_S = 10.0
SHARED = Path(".tongyeok")


@contextmanager
def connected(address: str | None, *, log: bool = False) -> Iterator[ModuleType]:
    """Ray's module while this process is a driver of the cluster at `address`, or of this machine's.

    Args:
        address: HOST:PORT of the head node; None for RAY_ADDRESS, or the cluster that this machine is a node of.
        log: show what tasks print.

    Raises:
        TongyeokError: Ray is not installed, or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as it will be; says Ray's own warning
    try:
        import ray  # noqa: PLC0415  an extra
    except ImportError:
        raise TongyeokError(
            "Ray is not installed here; `pip install --constraint constraints.txt --editable '.[cluster]'` installs it"
        ) from None
    where = address or os.environ.get("RAY_ADDRESS", "auto")
    try:
        _knock(where)
        ray.init(address=where, log_to_driver=log, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        raise TongyeokError(
            f"no Ray cluster answers at {where} ({error}); start one with `ray start --head`, see docs/ray.md"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Fail at once where nobody listens; Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


@contextmanager
def proof_of_sharing(folder: Path = SHARED) -> Iterator[tuple[Path, str]]:
    """A file with a secret in it, for a node to show that it sees the same folder as we do."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_hex(16)
    path = folder.absolute() / f"shared-{secret[:8]}"
    path.write_text(secret, encoding="ascii")
    try:
        yield path, secret
    finally:
        path.unlink(missing_ok=True)


def check_node(proof: Path, secret: str, digest: str) -> None:
    """Make sure, on a node, that it shares our files and runs our code.

    Raises:
        TongyeokError: it does not.
    """
    node = socket.gethostname()
    if not proof.is_file() or proof.read_text(encoding="ascii") != secret:
        raise TongyeokError(
            f"{node} does not see {proof.parent} as it is here; the project must lie in a file system that all nodes "
            "share, under the same path"
        )
    if workplace.code_digest() != digest:
        raise TongyeokError(f"{node} runs other code of tongyeok than this machine; install the same there")


class Cluster:
    """A running Ray cluster."""

    def __init__(self, address: str | None, *, threads: int) -> None:
        """Take the cluster at `address`; a task asks for `threads` CPUs, and for a GPU where there are any."""
        self.address, self.threads = address, threads

    def run(self, job: Job[Part], parts: Mapping[str, Part]) -> Found:
        """Each part as it is finished, wherever it was.

        Raises:
            TongyeokError: what a part raises; no node has as many CPUs; a node lacks our files or code; or a part was
                lost too often.
        """
        if not parts:
            return
        with connected(self.address) as ray, proof_of_sharing() as (path, secret):
            gpus = demand(ray, cpus=self.threads)
            options = {"num_cpus": self.threads, "num_gpus": gpus, "max_retries": RETRIES}
            task = ray.remote(**options, max_calls=0)(_on_node)  # 0: a process keeps its models for further parts
            how = {"threads": self.threads, "proof": path, "secret": secret, "digest": workplace.code_digest()}
            names = {task.remote(job, part, **how): name for name, part in parts.items()}
            with tqdm(total=len(parts), desc="Ray", unit="shards", disable=None) as bar:
                while names:
                    (ready,), _ = ray.wait(list(names))
                    content, device = fetch(ray, ready)
                    bar.update()
                    yield Made(name=names.pop(ready), content=content, device=device)


def demand(ray: ModuleType, *, cpus: float, gpus: float | None = None) -> float:
    """The GPUs that a task asks for: as many as said, by default one where the cluster has any.

    Raises:
        TongyeokError: no node has so many CPUs and GPUs, so that a task would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = float(any(node.get("GPU", 0) for node in nodes)) if gpus is None else gpus
    if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= wanted for node in nodes):
        found = ", ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes) or "no nodes"
        raise TongyeokError(
            f"no node of the Ray cluster has {cpus:g} CPUs and {wanted:g} GPUs; its nodes have {found}; lower "
            "`runtime.threads` (or --cpus, --gpus), or start nodes with more"
        )
    return wanted


def fetch(ray: ModuleType, reference: Any) -> Any:  # noqa: ANN401  Ray's types
    """What a task returned.

    Raises:
        TongyeokError: what it raised, or that Ray lost it.
    """
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, TongyeokError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise TongyeokError(
            f"Ray lost a task {RETRIES + 1} times, or could not start it ({error}); see Ray's logs on its nodes"
        ) from error


def _on_node(  # a task
    job: Job[Any], part: object, *, threads: int, proof: Path, secret: str, digest: str
) -> tuple[bytes, str]:
    check_node(proof, secret, digest)
    _stay_on_one_gpu()
    worker.prepare(threads=threads)
    return worker.compute(job, part)


_gpu: list[str | None] = []


def _stay_on_one_gpu() -> None:
    """End a process that is to turn to another GPU than torch has opened; Ray tries the task again in a new one."""
    now = os.environ.get(VISIBLE)
    if not _gpu:
        _gpu.append(now)
    elif _gpu[0] != now:
        os._exit(1)
