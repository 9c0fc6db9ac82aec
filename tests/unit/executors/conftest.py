"""What the tests of executors on a cluster share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ray_nodes import two_nodes


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Two nodes of one CPU."""
    with pytest.MonkeyPatch.context() as patch, two_nodes(patch) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
