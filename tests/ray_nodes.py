"""A Ray cluster of two nodes of one CPU each, on this machine, that leaves nothing behind."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STORE_BYTES = 80 * 1024 * 1024


@contextmanager
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` whose second node has the resource `second`; its workers import what we import."""
    here = [*(path for path in sys.path if path), os.environ.get("PYTHONPATH", "")]
    settings = {
        "PYTHONPATH": os.pathsep.join(here),
        "PYTHONWARNINGS": "ignore",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # Ray reads it once a process, so that tests cannot give each cluster a token
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    folder = tempfile.mkdtemp(prefix="ray-")  # a short name: it holds sockets
    monkeypatch.setenv("RAY_TMPDIR", folder)
    from ray.cluster_utils import Cluster

    common = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    cluster = Cluster(
        initialize_head=True, head_node_args={**common, "include_dashboard": False}, shutdown_at_exit=True
    )
    try:
        cluster.second = cluster.add_node(**common, resources={"second": 1})
        yield cluster
    finally:
        cluster.shutdown()
        for _ in range(100):  # processes that are ending still write into it
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                break
            time.sleep(0.1)


def node_id(cluster: Any) -> str:
    """Ray's name for the second node."""
    table = cluster.global_state.node_table()
    (found,) = (node["NodeID"] for node in table if node["Resources"].get("second"))
    return str(found)
