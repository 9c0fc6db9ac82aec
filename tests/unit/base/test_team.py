"""A team of one, and the trap of copies that do not know of one another; for two: tests/pipeline/test_torchrun.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tongyeok.base import team
from tongyeok.base.launch import Launch
from tongyeok.errors import TrainingError
from tongyeok.unit2speech.training import Schedule, Task, optimise
from unit.unit2unit import toy_training, toy_units

TRAP = r"WORLD_SIZE=2, but the process group has 1 process: expected all 2, or each would train a copy of its own"


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that torchrun gives to each of two processes, which no process group joins."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("copies")
def test_copies_without_a_process_group_train_nothing(tmp_path: Path) -> None:
    """Under torchrun, a training that is called without joining the others raises before its first update."""
    with pytest.raises(TrainingError, match=TRAP):
        team.here()
    module = torch.nn.Linear(1, 1)
    task = Task(name="toy", module=module, loss=lambda _step: module(torch.ones(1, 1)).sum(), validate=dict)
    schedule = Schedule(
        updates=1, learning_rate=0.1, warmup_updates=0, weight_decay=0.0, clip_norm=None, validate_every=1,
        save_every=1, seed=1,
    )  # fmt: skip
    with pytest.raises(TrainingError, match=TRAP):
        optimise(task, schedule, state=tmp_path / "state.pt", on_metrics=lambda _step, _values: None)
    assert list(tmp_path.iterdir()) == []


def test_copies_of_fairseqs_training_train_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The same holds for trainings behind the door to fairseq, which would take no notice."""
    bitext = toy_units.build_bitext(tmp_path / "units")
    request.getfixturevalue("copies")
    with pytest.raises(TrainingError, match=TRAP):
        toy_training.run(bitext, tmp_path, toy_training.config())
    assert list((tmp_path / "scratch").rglob("*.pt")) == []


@pytest.fixture
def smaller(copies: None) -> Iterator[None]:  # noqa: ARG001
    """A process group of one, where two were launched."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("smaller")
def test_a_group_of_another_size_is_refused() -> None:
    """A process group that is smaller than what was launched is no better than none."""
    with pytest.raises(TrainingError, match=TRAP):
        team.here()


def test_alone_nothing_changes() -> None:
    """In a team of one every exchange gives back what went in, bit for bit."""
    with team.joined(Launch()) as alone:
        assert alone is team.ALONE
    figures = torch.tensor([3.0, 4.0])
    assert alone.leads
    assert alone.leave()
    assert alone.told("word") == "word"
    assert alone.any([True, False]) == [True, False]
    assert alone.agreed(1 / 3) == 1 / 3
    assert torch.equal(alone.mean(figures[0]), figures[0])
    assert torch.equal(alone.norm(figures), figures.norm())
    assert torch.equal(figures[alone.part], figures)
