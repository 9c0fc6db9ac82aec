"""One process = several processes = a Ray cluster, to the byte, whatever dies on the way."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ray_nodes import node_id, two_nodes
from tongyeok.base.executor import Here
from tongyeok.evaluation import packs
from tongyeok.executors.cluster import Cluster
from tongyeok.executors.processes import Processes
from tongyeok.speech2unit import shards, units
from unit.executors import toy_flow
from unit.executors.toy_flow import STAGES, Flow
from unit.executors.toy_jobs import Fragile, Watched


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Shards of three utterances or clips, in a folder of its own."""
    monkeypatch.setattr(shards, "SHARD", 3)
    monkeypatch.setattr(packs, "SHARD", 2)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """Toy corpora and models."""
    return toy_flow.build(tmp_path_factory.mktemp("flow"))


@pytest.fixture(scope="module")
def alone(flow: Flow, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of every stage, made by this process."""
    return {stage: flow.run(stage, Here(), tmp_path_factory.mktemp("alone") / stage) for stage in STAGES}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Two nodes of one CPU."""
    with pytest.MonkeyPatch.context() as patch, two_nodes(patch) as cluster:
        yield cluster


@pytest.mark.parametrize("stage", STAGES)
def test_shards_do_not_show(
    flow: Flow, alone: dict[str, dict[str, bytes]], stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut into small shards or not at all, a stage writes the same files."""
    monkeypatch.setattr(shards, "SHARD", 1000)
    monkeypatch.setattr(packs, "SHARD", 1000)
    assert flow.run(stage, Here(), tmp_path / "whole") == alone[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_threads_do_not_show(flow: Flow, alone: dict[str, dict[str, bytes]], stage: str, tmp_path: Path) -> None:
    """With three threads a stage writes what it does with one, so that processes may divide them."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert flow.run(stage, Here(), tmp_path / "threads") == alone[stage]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("stage", STAGES)
def test_processes_write_the_same(flow: Flow, alone: dict[str, dict[str, bytes]], stage: str, tmp_path: Path) -> None:
    """Two processes of this machine write what one does."""
    assert flow.run(stage, Processes(2, threads=1, gpus=()), tmp_path / stage) == alone[stage]


def test_a_killed_process_changes_nothing(
    flow: Flow, alone: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one of two processes killed (-9) during `units`, the files are those of one process."""
    monkeypatch.setattr(units, "Encoding", partial(Fragile, log=tmp_path / "killed"))
    found = flow.run("units", Processes(2, threads=1, gpus=()), tmp_path / "units")
    assert (tmp_path / "killed").exists()
    assert found == alone["units"]


@pytest.mark.parametrize("stage", ["labels", "translate_test"])
def test_a_cluster_writes_the_same(
    flow: Flow, alone: dict[str, dict[str, bytes]], nodes: Any, stage: str, tmp_path: Path
) -> None:
    """Two nodes write what one process does."""
    assert flow.run(stage, Cluster(nodes.address, threads=1), tmp_path / stage) == alone[stage]


def test_a_lost_node_changes_nothing(
    flow: Flow,
    alone: dict[str, dict[str, bytes]],
    nodes: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of two nodes is removed while it computes a shard of `units`: the files are those of one process."""
    log = tmp_path / "begun-on-the-lost-node"
    monkeypatch.setattr(units, "Encoding", partial(Watched, log=log, doomed=node_id(nodes)))

    def remove() -> None:
        while not log.exists():
            time.sleep(0.1)
        nodes.remove_node(nodes.second, allow_graceful=False)

    remover = threading.Thread(target=remove, daemon=True)
    remover.start()
    found = flow.run("units", Cluster(nodes.address, threads=1), tmp_path / "units")
    remover.join()
    assert log.read_text(encoding="utf-8").startswith(("train", "valid", "test"))
    assert found == alone["units"]
