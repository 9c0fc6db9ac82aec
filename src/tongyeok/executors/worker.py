"""What a process that works for an executor does: pin its threads, load the models once, and compute parts.

Nothing heavy is imported before `prepare`: a GPU has to be chosen before torch looks for one.
"""

from collections.abc import Callable, Hashable
from functools import cache, lru_cache
from typing import Any, cast

from tongyeok.base.executor import Job, device_kind
from tongyeok.errors import TongyeokError
from tongyeok.runtime import pin_threads


@cache
def prepare(*, threads: int) -> None:
    """Pin this process's threads, once."""
    pin_threads(threads)


def compute(job: Job[Any], part: object) -> tuple[bytes, str]:
    """A part's bytes, and the kind of device that computed them.

    Raises:
        TongyeokError: something that the job needs is not there, or computing failed.
    """
    return _opened(cast("Hashable", job))(part), device_kind()


@lru_cache(maxsize=1)
def _opened(job: Job[Any]) -> Callable[[Any], bytes]:
    for path in job.needs:
        if not path.exists():
            raise TongyeokError(f"{path} is not there; every machine must see the project's files under the same path")
    return job.open(progress=False)
