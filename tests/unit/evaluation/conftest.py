"""The tiny world of `world.py`, built once a session and copied for each test that writes into it."""

import shutil
from pathlib import Path

import pytest

from unit.evaluation import world


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's folder, not to be written to."""
    folder = tmp_path_factory.mktemp("world") / "world"
    world.build(folder)
    return folder


@pytest.fixture
def tiny(built: Path, tmp_path: Path) -> Path:
    """A copy of the world."""
    return Path(shutil.copytree(built, tmp_path / "world"))
