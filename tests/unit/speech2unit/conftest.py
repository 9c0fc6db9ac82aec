"""Fixtures of speech2unit's tests: a toy corpus, and a HuBERT folder whose features need no model."""

from pathlib import Path

import pytest

from unit.speech2unit.toy_speech import FakeReader, Speech, build


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Ten utterances of about 0.7 s in each of two languages; tests only read it."""
    return build(tmp_path_factory.mktemp("speech"))


@pytest.fixture
def hubert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the stage `hubert` that the fake reader accepts."""
    monkeypatch.setattr("tongyeok.engine.features.FeatureReader", FakeReader)
    folder = tmp_path / "hubert" / "1"
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"weights")
    return folder
