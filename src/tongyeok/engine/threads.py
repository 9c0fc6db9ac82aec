"""Threads that compute side by side, so that results do not depend on their number."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch


def one_thread_each(workers: int) -> ThreadPoolExecutor:
    """Workers in each of which torch computes with one thread; in the calling thread it keeps its own number."""
    return ThreadPoolExecutor(workers, initializer=partial(torch.set_num_threads, 1))
