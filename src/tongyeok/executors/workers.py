"""One command, several times, on a Ray cluster: such as the workers of an Optuna study.

Ray decides which node each runs on, and starts it elsewhere when its node is lost.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tongyeok import workplace
from tongyeok.errors import TongyeokError
from tongyeok.executors.cluster import check_node, connected, demand, fetch, proof_of_sharing
from tongyeok.runtime import die_with_parent

NUMBER = "TONGYEOK_WORKER"  # tells a worker its number, from 0


class KilledError(TongyeokError):
    """A command that a signal ended; it is tried again, like one whose node was lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A worker that ended by itself: its number, its exit status, and the node that it was last on."""

    number: int
    status: int
    node: str


def place_workers(
    command: Sequence[str], *, count: int, address: str | None, cpus: float, gpus: float | None, losses: int
) -> Iterator[Ended]:
    """Run a command so many times on the nodes of a Ray cluster, in this folder, and yield each as it ends.

    Args:
        command: its words. The environment has the worker's number as TONGYEOK_WORKER, and CUDA_VISIBLE_DEVICES for
            its share of GPUs.
        count: how many; those that there is no room for wait until there is.
        address: HOST:PORT of the cluster's head; None for the one that this machine is a node of.
        cpus: share of CPUs that each takes.
        gpus: share of GPUs that each takes, such as 0.5; None for one where the cluster has any.
        losses: how often each may be lost, with its node or to a signal, before that counts as a failure.

    Raises:
        TongyeokError: no cluster answers, a share fits no node, a node does not share this folder or runs other code,
            or a worker was lost once too often.
    """
    with connected(address, log=True) as ray, proof_of_sharing() as (path, secret):
        task = ray.remote(
            num_cpus=cpus,
            num_gpus=demand(ray, cpus=cpus, gpus=gpus),
            max_retries=losses,
            retry_exceptions=[KilledError],
        )(_work)
        how: dict[str, Any] = {"proof": path, "secret": secret, "digest": workplace.code_digest(), "folder": Path.cwd()}
        left = [task.remote(tuple(command), number, **how) for number in range(count)]
        while left:
            (ready,), left = ray.wait(left)
            yield fetch(ray, ready)


def _work(  # a task
    command: Sequence[str], number: int, *, proof: Path, secret: str, digest: str, folder: Path
) -> Ended:
    check_node(proof, secret, digest)
    process = subprocess.Popen(  # noqa: S603  the user's command
        command,
        cwd=folder,
        env=_environment(os.environ, number),
        preexec_fn=die_with_parent,  # noqa: PLW1509  one system call, of a library that is loaded already
    )
    status = process.wait()
    node = os.uname().nodename
    if status < 0:
        raise KilledError(f"worker {number} on {node} was ended by signal {-status}: {' '.join(command)}")
    return Ended(number=number, status=status, node=node)


def _environment(own: Mapping[str, str], number: int) -> dict[str, str]:
    """The node's, with this virtual environment's programs first."""
    return {**own, NUMBER: str(number), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', '')}"}
