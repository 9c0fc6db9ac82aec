"""What `--on` may say."""

import os

import pytest
import torch

from tongyeok.base.executor import Here
from tongyeok.errors import ConfigError
from tongyeok.executors.cluster import Cluster
from tongyeok.executors.place import place
from tongyeok.executors.processes import Processes


def test_a_place_is_named() -> None:
    """This process, so many processes, Ray's cluster of this machine or at an address."""
    assert isinstance(place("here", threads=2), Here)
    processes = place("processes:3", threads=2)
    assert isinstance(processes, Processes)
    assert processes.count == 3
    for text, address in (("ray", None), ("ray:head:6379", "head:6379")):
        cluster = place(text, threads=2)
        assert isinstance(cluster, Cluster)
        assert (cluster.address, cluster.threads) == (address, 2)


@pytest.mark.parametrize(
    "text", ["", "there", "processes:", "processes:0", "processes:-1", "ray:", "ray:head", "ray://head:10001"]
)
def test_other_words_are_refused(text: str) -> None:
    """What names no place is refused with all that do."""
    with pytest.raises(ConfigError, match=r"expected here, processes, processes:N, ray or ray:HOST:PORT, got"):
        place(text, threads=1)


def test_threads_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes share the cores: none pins more threads than its part of them, nor more than the parameters say."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: range(8))
    pinned = [place(f"processes:{count}", threads=4) for count in (1, 2, 4, 20)]
    assert [each.threads for each in pinned if isinstance(each, Processes)] == [4, 4, 2, 1]


def test_one_process_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """`processes` alone takes every visible GPU; where there is none, the number has to be said."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    processes = place("processes", threads=1)
    assert isinstance(processes, Processes)
    assert (processes.count, processes.gpus) == (2, ("2", "5"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match="there is no GPU to run a process on; say how many"):
        place("processes", threads=1)
