"""Pieces: made once for all who need them, whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tongyeok.errors import TrainingError
from tongyeok.tuning.pieces import GivenUpError, Pieces


def pieces(folder: Path, *, threads: int = 1) -> Pieces:
    return Pieces(folder, threads=threads, watch=lambda _stage, _step, _values: None)


def test_the_same_settings_and_inputs_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, input bytes, threads and the kind of device decide; where the input lies, or who asks, does not."""
    made: list[str] = []

    def ask(text: str, *, x: int = 1, threads: int = 1, folder: str = "a") -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "input").write_text(text)
        place = pieces(tmp_path / "made", threads=threads)
        return place.once("s", {"x": x}, {"i": tmp_path / folder}, lambda outputs, _: made.append(outputs.name))

    assert ask("1") == ask("1") == ask("1", folder="b")
    assert len(made) == 1
    known = {ask("1"), ask("2"), ask("1", x=2), ask("1", threads=2)}
    assert len(known) == len(made) == 4
    there = torch.cuda.is_available()
    monkeypatch.setattr("torch.cuda.is_available", lambda: not there)
    assert ask("1") not in known


def test_a_piece_is_known_by_its_name(tmp_path: Path) -> None:
    """What is made of a piece depends on the piece's key, so its bytes are not read again."""
    place = pieces(tmp_path)
    first = place.once("a", {}, {}, lambda outputs, _: (outputs / "f").write_text("x"))
    assert place.digest(first) == first.name


def test_two_who_want_the_same_piece_make_it_once(tmp_path: Path) -> None:
    """The second waits for the first."""
    made: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(pieces(tmp_path).once, "s", {}, {}, lambda _o, _s: made.append(1)) for _ in range(4)]
    assert len({future.result() for future in asked}) == 1
    assert made == [1]


def test_what_fails_leaves_its_state_and_no_outputs(tmp_path: Path) -> None:
    """After an error the next attempt finds the scratch folder as it was; after success it is gone."""

    def broken(_outputs: Path, scratch: Path) -> None:
        (scratch / "state").write_text("half")
        raise TrainingError("out of luck")

    with pytest.raises(TrainingError):
        pieces(tmp_path).once("s", {}, {}, broken)
    found: list[str] = []
    made = pieces(tmp_path).once("s", {}, {}, lambda _outputs, scratch: found.append((scratch / "state").read_text()))
    assert found == ["half"]
    assert not list(made.parent.glob(".*.scratch"))
    assert not list(made.parent.glob(".*.partial"))


def test_what_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    """A pruned training's state is not kept."""

    def pruned(_outputs: Path, scratch: Path) -> None:
        (scratch / "state").write_text("half")
        raise GivenUpError("worse than the median")

    with pytest.raises(GivenUpError):
        pieces(tmp_path).once("s", {}, {}, pruned)
    assert not list((tmp_path / "s").glob(".*.scratch"))
