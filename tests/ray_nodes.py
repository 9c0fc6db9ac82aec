"""A Ray cluster of two nodes of one CPU each, on this machine, that leaves nothing behind."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

WHY = "needs Ray: pip install --constraint constraints.txt --editable '.[cluster]'"
STORE_BYTES = 80 * 1024 * 1024
SYSTEM = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}


@contextmanager
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` whose second node has the resource `second`; its workers import what we import."""
    pytest.importorskip("ray", reason=WHY)
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
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short: it holds sockets
        monkeypatch.setenv("RAY_TMPDIR", folder)
        from ray.cluster_utils import Cluster

        common = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
        head = {**common, "include_dashboard": False, "_system_config": SYSTEM}
        cluster = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=True)
        try:
            cluster.second = cluster.add_node(**common, resources={"second": 1})
            yield cluster
        finally:
            cluster.shutdown()


def node_id(cluster: Any) -> str:
    """Ray's name for the second node."""
    table = cluster.global_state.node_table()
    (found,) = (node["NodeID"] for node in table if node["Resources"].get("second"))
    return str(found)
