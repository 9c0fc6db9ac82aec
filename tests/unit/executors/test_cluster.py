"""A Ray cluster: what it refuses; that it changes no byte is shown in invariants/test_executors.py."""

import secrets
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tongyeok import workplace
from tongyeok.errors import TongyeokError, UnitError
from tongyeok.executors.cluster import SHARED, Cluster, check_node, proof_of_sharing
from unit.executors.toy_jobs import Doubling


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ray is not installed, the message says how to install it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TongyeokError, match=r"Ray is not installed here; `pip install .* '\.\[cluster\]'`"):
        list(Cluster(None, threads=1).run(Doubling(folder=tmp_path), {"part": 1}))


def test_nothing_to_do_needs_no_cluster(tmp_path: Path) -> None:
    """When all shards are there already, no cluster is asked for."""
    assert not list(Cluster("nowhere:1", threads=1).run(Doubling(folder=tmp_path), {}))


def test_an_address_where_nobody_listens(tmp_path: Path) -> None:
    """A wrong address is named at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(TongyeokError, match=rf"no Ray cluster answers at 127\.0\.0\.1:{port} .* `ray start --head`"):
        list(Cluster(f"127.0.0.1:{port}", threads=1).run(Doubling(folder=tmp_path), {"part": 1}))


def test_a_node_shows_that_it_shares_files_and_code() -> None:
    """The same folder and the same code pass; another folder, or other code, is refused by name."""
    digest = workplace.code_digest()
    with proof_of_sharing() as (path, secret):
        check_node(path, secret, digest)
        with pytest.raises(
            TongyeokError, match=f"{socket.gethostname()} does not see .* must lie in a file system that"
        ):
            check_node(path, secrets.token_hex(16), digest)
        with pytest.raises(TongyeokError, match=f"{socket.gethostname()} runs other code of tongyeok"):
            check_node(path, secret, "0" * 16)
    assert not list(SHARED.iterdir())


def test_parts_are_made_and_errors_come_back(nodes: Any, tmp_path: Path) -> None:
    """Each part is made once, without progress bars and with pinned threads; what a part raises is raised here."""
    cluster = Cluster(nodes.address, threads=1)
    made = cluster.run(Doubling(folder=tmp_path), {f"part-{number}": number for number in range(6)})
    assert {each.name: int(each.content) for each in made} == {f"part-{number}": 2 * number for number in range(6)}
    assert {path.read_text().split(" ", 1)[1] for path in tmp_path.glob("opened-*")} == {"1 False"}
    with pytest.raises(UnitError, match="-1: expected at least 0"):
        list(cluster.run(Doubling(folder=tmp_path), {"bad": -1}))
    with pytest.raises(TongyeokError, match="gone is not there; every machine must see the project's files"):
        list(cluster.run(Doubling(folder=tmp_path / "gone"), {"part": 1}))


def test_a_killed_process_is_tried_again(nodes: Any, tmp_path: Path) -> None:
    """A part whose process is killed (-9) is made by another."""
    (made,) = Cluster(nodes.address, threads=1).run(Doubling(folder=tmp_path, fatal=3), {"part": 3})
    assert made.content == b"6"
    assert (tmp_path / "died").exists()


def test_a_share_that_fits_no_node(nodes: Any, tmp_path: Path) -> None:
    """More CPUs than any node has would wait for ever, and are refused with what the nodes have."""
    with pytest.raises(TongyeokError, match=r"has 4 CPUs and 0 GPUs; its nodes have 1 and 0, 1 and 0; lower"):
        list(Cluster(nodes.address, threads=4).run(Doubling(folder=tmp_path), {"part": 1}))
