"""A team of one, one of two by gloo, and the trap of copies that do not know of one another.

For whole stages in two processes: tests/pipeline/test_torchrun.py.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tongyeok.base import team
from tongyeok.base.launch import Launch
from tongyeok.errors import ConfigError, TrainingError
from tongyeok.unit2speech.training import Schedule, Task, optimise
from unit.base import pair
from unit.unit2speech import toy_voices
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


@pytest.mark.parametrize("local_rank", [0, 1])
def test_too_few_gpus_are_an_error_of_every_process(local_rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that would have a GPU fails like the one that has none, so that this machine's first can tell it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    launch = Launch(rank=2 + local_rank, size=4, local_rank=local_rank, local_size=2)
    with (
        pytest.raises(ConfigError, match=r"2 processes on .*, and GPUs that torch finds: 1; .*--nproc-per-node 1`"),
        team.joined(launch),
    ):
        pass


def test_gradients_of_two_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    """Averaged over halves of a batch, gradients of the vocoder's losses are the whole batch's, but for rounding."""
    toy_voices.build(tmp_path)
    assert [ended.status for ended in pair.run("write_gradients", tmp_path)] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    alone = pair.gradients(tmp_path)
    assert {name.partition(":")[0] for name in alone} == {"speech", "durations"}
    assert list(first) == list(second) == list(alone)
    largest = max(float(gradient.norm()) for gradient in alone.values())
    tolerance = {"speech": 3e-5, "durations": 1e-6}  # logarithms of faint magnitudes raise speech's to 7e-6
    for name, gradient in alone.items():
        assert torch.equal(first[name], second[name]), name
        apart = float((first[name] - gradient).norm() / gradient.norm().clamp(min=1e-6 * largest))
        assert apart < tolerance[name.partition(":")[0]], f"{name}: relative difference {apart:.1e}"


def test_an_error_of_the_leader_is_told_once(tmp_path: Path) -> None:
    """The other, which waits for a leader that ended with a message, ends too, and adds nothing to it."""
    leader, other = pair.run("leader_fails", tmp_path)
    assert (leader.status, leader.said) == (2, "the leader's own\n")
    assert (other.status, other.said) == (2, "")


def test_the_leader_tells_that_another_was_killed(tmp_path: Path) -> None:
    """A process that is killed ends the leader too, with one line and no traceback."""
    leader, other = pair.run("follower_dies", tmp_path)
    assert (other.status, other.said) == (-9, "")
    assert leader.status == 2
    assert leader.said.startswith("another process of the training has ended (")
    assert leader.said.endswith("; the same command goes on from the last saved state\n")
    assert leader.said.count("\n") == 1


def test_different_states_are_noticed(tmp_path: Path) -> None:
    """A process that goes on from the state of another update than the leader says so, and trains nothing."""
    leader, other = pair.run("see_different_states", tmp_path)
    assert (leader.status, other.status) == (2, 2)
    assert "state.pt on " in other.said
    assert "expected the state of update 0, which the first process sees there, got 1" in other.said


def test_processes_that_compute_in_different_ways_are_refused(tmp_path: Path) -> None:
    """Numbers of threads that differ are the same error in both, before anything is trained."""
    variables = [{"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads} for threads in ("1", "2")]
    both = pair.run("write_gradients", tmp_path, variables=variables)
    assert [ended.status for ended in both] == [2, 2]
    assert both[0].said == both[1].said
    for words in ("process 1 on ", "threads: 1), got ", "threads: 2; their copies of the model would drift apart"):
        assert words in both[0].said
