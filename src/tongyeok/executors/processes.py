"""Several processes of this machine, each with a GPU of its own where there are GPUs.

Python's process pool does the work. It gives up when a process dies; what it had not finished then goes to a new pool.
"""

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from tqdm import tqdm

from tongyeok.base.executor import Found, Job, Made, Part
from tongyeok.errors import TongyeokError
from tongyeok.executors import worker
from tongyeok.runtime import VISIBLE, end_with_parent

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

MOST_LOSSES = 3  # in a row, without a part that was finished in between


class Processes:
    """So many processes of this machine; each keeps its models, and dies with this one."""

    def __init__(self, count: int, *, threads: int, gpus: Sequence[str]) -> None:
        """Share `gpus` out in turn; each process pins `threads` CPU threads."""
        self.count, self.threads, self.gpus = count, threads, tuple(gpus)

    def run(self, job: Job[Part], parts: Mapping[str, Part]) -> Found:
        """Each part as it is finished; parts of a process that died are done again.

        Raises:
            TongyeokError: what a part raises, or processes died one after the other and nothing got finished.
        """
        waiting, losses = dict(parts), 0
        with tqdm(total=len(parts), desc=f"{self.count} processes", unit="shards", disable=None) as bar:
            while waiting:
                try:
                    for made in self._round(job, waiting):
                        del waiting[made.name]
                        losses = 0
                        bar.update()
                        yield made
                except BrokenProcessPool:
                    losses += 1
                    if losses == MOST_LOSSES:
                        raise TongyeokError(
                            f"{MOST_LOSSES} times in a row a process was killed before it finished a shard; is there "
                            f"memory for {self.count}? give fewer: `--on processes:{max(1, self.count // 2)}`"
                        ) from None

    def _round(self, job: Job[Part], parts: Mapping[str, Part]) -> Found:
        context = multiprocessing.get_context("spawn")
        gpus: SimpleQueue[str | None] = context.SimpleQueue()
        for number in range(self.count):
            gpus.put(self.gpus[number % len(self.gpus)] if self.gpus else None)
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(self.count, context, initializer=_start, initargs=(gpus, self.threads))
        try:
            futures = {pool.submit(worker.compute, job, part): name for name, part in parts.items()}
            for future in as_completed(futures):
                content, device = future.result()
                yield Made(name=futures.pop(future), content=content, device=device)
        except BaseException:  # nobody waits for what the others are at
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            gpus.close()


def _start(gpus: "SimpleQueue[str | None]", threads: int) -> None:
    end_with_parent()
    gpu = gpus.get()
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    worker.prepare(threads=threads)
