"""Threads that compute side by side, so that results do not depend on their number."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

AHEAD = 4  # items under way or finished, for each worker
Item = TypeVar("Item")
Found = TypeVar("Found")


def one_thread_each(workers: int) -> ThreadPoolExecutor:
    """Workers in each of which torch computes with one thread; in the calling thread it keeps its own number."""
    return ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1))


def in_order(function: Callable[[Item], Found], items: Iterable[Item], *, workers: int) -> Iterator[Found]:
    """`function` of each of `items` in their order, by workers of one thread each that run only a little ahead."""
    waiting: deque[Future[Found]] = deque()
    with one_thread_each(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
