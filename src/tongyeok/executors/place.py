"""Which executor a user means by `--on` or the variable TONGYEOK_ON; no parameter, for it changes no byte."""

import re

from tongyeok.base.executor import Executor, Here
from tongyeok.errors import ConfigError
from tongyeok.runtime import shared_threads, visible_gpus

ON = "TONGYEOK_ON"
HERE = "here"
PLACES = re.compile(r"here|(?P<processes>processes)(:(?P<count>[1-9]\d*))?|(?P<ray>ray)(:(?P<address>[^/]+:\d+))?")


def place(text: str, *, threads: int) -> Executor:
    """The executor that `text` names.

    Args:
        text: `here`; `processes:N`, or `processes` for one on each GPU; `ray` or `ray:ADDRESS`, a cluster that runs.
        threads: CPU threads of each process.

    Raises:
        ConfigError: it names none, or there are no GPUs for `processes` to count.
    """
    found = PLACES.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--on (or ${ON}): expected here, processes, processes:N, ray or ray:HOST:PORT, got {text!r}; Ray is "
            "reached from one of its own nodes, without `ray://`"
        )
    if found["ray"]:
        from tongyeok.executors.cluster import Cluster  # noqa: PLC0415  not every stage goes there

        return Cluster(found["address"], threads=threads)
    if found["processes"]:
        from tongyeok.executors.processes import Processes  # noqa: PLC0415

        gpus = visible_gpus()
        count = int(found["count"] or len(gpus))
        if not count:
            raise ConfigError(f"--on {text}: there is no GPU to run a process on; say how many, e.g. `--on {text}:2`")
        return Processes(count, threads=shared_threads(threads, count), gpus=gpus)
    return Here()
