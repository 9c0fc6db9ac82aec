"""Where the workers of one machine run: one process each, with its share of the CPU threads, and its own GPU."""

import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tongyeok.runtime import VISIBLE, die_with_parent, shared_threads, thread_variables
from tongyeok.tuning.space import Space

POLITE_SECONDS = 30.0  # that a worker has to end when it is told to


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A worker's name, threads and GPU (None: whatever the process sees)."""

    name: str
    threads: int
    gpu: str | None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The variables that must stand before torch is imported."""
        own = thread_variables(self.threads)
        if self.gpu is not None:
            own[VISIBLE] = self.gpu
        return {**base, **own}


def share_out(workers: int, *, threads: int, gpus: Sequence[str]) -> list[Place]:
    """Places for workers: GPUs in turn, and threads so that all workers together have no more than there are cores.

    Args:
        workers: how many.
        threads: most that each may have, `runtime.threads`.
        gpus: as `CUDA_VISIBLE_DEVICES` names them; none where there are none.
    """
    each = shared_threads(threads, workers)
    return [
        Place(name=str(number), threads=each, gpu=gpus[number % len(gpus)] if gpus else None)
        for number in range(workers)
    ]


def trained(space: Space, *, last: str) -> frozenset[str]:
    """The stages that trials of a space train."""
    if space.kind == "translator":
        return frozenset({"translator"})
    more = {"hubert": space.retrains(last), "translator": "asr_bleu" in space.figures}
    return frozenset({"vocoder", *(name for name, too in more.items() if too)})


def shortage(
    workers: int, stages: Collection[str], timings: Sequence[Mapping[str, Any]], *, available_mib: int
) -> str | None:
    """A warning where workers may need more memory than there is, by what the flow's own trainings took.

    Args:
        workers: how many train at a time.
        stages: that they train.
        timings: rows of the journal; where it has none of the stages nothing is known, and nothing said.
        available_mib: memory that is free, MiB.
    """
    latest = {row["stage"]: int(row["peak_mib"]) for row in timings if row["stage"].partition("@")[0] in stages}
    each = max(latest.values(), default=0)
    if workers * each <= available_mib:
        return None
    return (
        f"memory: {workers} workers may take {workers * each} MiB, {each} each as `tongyeok timings` has it, and "
        f"{available_mib} are free; give fewer --workers"
    )


def command(place: Place, arguments: Sequence[str]) -> list[str]:
    """How a worker is called: `tongyeok tune worker …` in this interpreter."""
    own = ["--name", place.name, "--threads", str(place.threads)]
    return [sys.executable, "-m", "tongyeok", "tune", "worker", *own, *arguments]


def run(places: Sequence[Place], arguments: Sequence[str]) -> None:
    """Run a worker at each place until all have ended, in whatever way: the study knows what they left.

    When this process is interrupted, so are they; their trials are then queued again when the study is.
    """
    processes = [
        subprocess.Popen(  # noqa: S603  our own command
            command(place, arguments),
            env=place.environment(os.environ),
            preexec_fn=die_with_parent,  # noqa: PLW1509  one system call, of a library that is loaded already
        )
        for place in places
    ]
    try:
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            try:
                process.wait(timeout=POLITE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
