"""Which executor a user means by `--on` or the variable TONGYEOK_ON; no parameter, for it changes no byte."""

import os

from tongyeok.base.executor import Executor, Here
from tongyeok.errors import ConfigError

ON = "TONGYEOK_ON"
HERE = "here"
PROCESSES = "processes"
RAY = "ray"


def place(text: str, *, threads: int) -> Executor:
    """The executor that `text` names.

    Args:
        text: `here`; `processes:N`, or `processes` for one on each GPU; `ray` or `ray:ADDRESS`, a cluster that runs.
        threads: CPU threads of each process.

    Raises:
        ConfigError: it names none, or there are no GPUs for `processes` to count.
    """
    kind, colon, rest = text.partition(":")
    if text == HERE:
        return Here()
    if kind == PROCESSES and (rest.isdigit() and int(rest) > 0 if colon else True):
        from tongyeok.executors.processes import Processes, visible_gpus  # noqa: PLC0415  may ask torch

        gpus = visible_gpus()
        if not colon and not gpus:
            raise ConfigError(f"--on {text}: there is no GPU to run a process on; say how many, e.g. `--on {text}:2`")
        count = int(rest) if colon else len(gpus)
        cores = len(os.sched_getaffinity(0))
        return Processes(count, threads=max(1, min(threads, cores // count)), gpus=gpus)
    if kind == RAY and (bool(rest) if colon else True) and not rest.startswith("//"):
        from tongyeok.executors.cluster import Cluster  # noqa: PLC0415  Ray is an extra

        return Cluster(rest or None, threads=threads)
    raise ConfigError(
        f"--on (or ${ON}): expected here, processes, processes:N, ray or ray:HOST:PORT, got {text!r}; Ray is reached "
        "from one of its own nodes, without `ray://`"
    )
