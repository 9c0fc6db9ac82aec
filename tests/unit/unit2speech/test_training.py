"""The resumable optimisation."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tongyeok.errors import TrainingError
from tongyeok.unit2speech.training import Decay, Opponent, Schedule, Task, optimise


class KilledError(Exception):
    """Stands for an interruption."""


def schedule(**changes: object) -> Schedule:
    values = {
        "updates": 20, "learning_rate": 0.1, "warmup_updates": 4, "weight_decay": 0.01, "clip_norm": 1.0,
        "validate_every": 7, "save_every": 5, "seed": 3,
    } | changes  # fmt: skip
    return Schedule(**values)  # type: ignore[arg-type]


def task(*, at: Callable[[int], None] = lambda _step: None) -> Task:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))

    def loss(step: int) -> torch.Tensor:
        at(step)
        batch = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        return (module(batch)[:, 0] - batch.sum(dim=1)).square().mean()

    return Task(name="toy", module=module, loss=loss, validate=lambda: {"bias": float(module[2].bias.detach())})


def test_rate_warms_up_and_decays_to_zero() -> None:
    """The learning rate rises linearly to its top and falls along a cosine to nearly 0."""
    rates = [schedule(updates=100).rate(step) for step in range(100)]
    assert rates[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] < 1e-4


def test_rate_decays_in_steps() -> None:
    """With a decay the learning rate falls by its factor after each pass, and is not otherwise changed."""
    stepwise = schedule(updates=100, warmup_updates=0, learning_rate=1.0, decay=Decay(factor=0.5, every=40))
    assert [stepwise.rate(step) for step in (0, 39, 40, 79, 80, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def contest(*, at: Callable[[int], None] = lambda _step: None) -> Task:
    """Two linear modules: the task's wants to say what the opponent does not expect."""
    torch.manual_seed(0)
    speaker, judge = torch.nn.Linear(4, 1), torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Dropout(0.5))

    def difference(step: int) -> torch.Tensor:
        at(step)
        batch = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        return (speaker(batch) - judge(batch)).square().mean()

    def stray(step: int) -> torch.Tensor:
        return -difference(step).clamp(max=1)

    return Task(name="toy", module=speaker, loss=stray, validate=dict, opponent=Opponent(module=judge, loss=difference))


def test_opponents_resume_together(tmp_path: Path) -> None:
    """Interrupted between its two updates and run again, a contest gives both modules' weights and both losses."""
    whole = contest()
    rows = optimise(whole, schedule(), state=tmp_path / "whole.pt", on_metrics=lambda _step, _values: None)
    calls = []

    def kill(step: int) -> None:
        calls.append(step)
        if calls.count(12) == 2:  # the opponent has updated already
            raise KilledError

    again = contest()
    with pytest.raises(KilledError):
        optimise(contest(at=kill), schedule(), state=tmp_path / "cut.pt", on_metrics=lambda _step, _values: None)
    assert optimise(again, schedule(), state=tmp_path / "cut.pt", on_metrics=lambda _step, _values: None) == rows
    assert list(rows[0]) == ["step", "loss", "opponent_loss"]
    assert whole.opponent is not None
    assert again.opponent is not None
    for one, other in ((whole.module, again.module), (whole.opponent.module, again.opponent.module)):
        for mine, same in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, same)


def test_gradients_are_clipped_only_where_asked(tmp_path: Path) -> None:
    """Without a norm, an update is the one that a norm too large to matter gives; a small norm changes it."""
    states = []
    for number, norm in enumerate((None, 1e9, 1e-12)):
        made = task()
        optimise(
            made,
            schedule(updates=1, clip_norm=norm),
            state=tmp_path / f"{number}.pt",
            on_metrics=lambda _step, _values: None,
        )
        states.append(made.module[0].weight.detach())
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("killed_at", [0, 3, 5, 12, 19])
def test_resumed_is_uninterrupted(tmp_path: Path, killed_at: int) -> None:
    """Interrupted at any update and run again, a training gives the same weights, rows and reported points."""
    whole, seen = task(), []
    rows = optimise(whole, schedule(), state=tmp_path / "whole.pt", on_metrics=lambda *point: seen.append(point))

    def kill(step: int) -> None:
        if step == killed_at:
            raise KilledError

    again, points = task(), []
    with pytest.raises(KilledError):
        optimise(task(at=kill), schedule(), state=tmp_path / "cut.pt", on_metrics=lambda *point: points.append(point))
    assert (
        optimise(again, schedule(), state=tmp_path / "cut.pt", on_metrics=lambda *point: points.append(point)) == rows
    )
    for mine, theirs in zip(whole.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert dict(points) == dict(seen)
    assert [row["step"] for row in rows] == [7, 14, 20]


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    """A training whose state says that it is finished makes no more updates."""
    optimise(task(), schedule(), state=tmp_path / "state.pt", on_metrics=lambda _step, _values: None)

    def never(step: int) -> None:
        raise AssertionError(step)

    rows = optimise(task(at=never), schedule(), state=tmp_path / "state.pt", on_metrics=lambda _step, _values: None)
    assert rows[-1]["step"] == 20


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    """A NaN loss raises with the update and what to change, before the weights are touched."""
    broken = task()
    bad = Task(name="toy", module=broken.module, loss=lambda _step: torch.tensor(float("nan")), validate=dict)
    with pytest.raises(TrainingError, match="toy: the loss of update 1 is nan; lower its learning rate"):
        optimise(bad, schedule(), state=tmp_path / "state.pt", on_metrics=lambda _step, _values: None)
    assert not (tmp_path / "state.pt").exists()


def test_global_randomness_is_left_alone(tmp_path: Path) -> None:
    """Training does not move torch's global random state."""
    made = task()
    before = torch.random.get_rng_state()
    optimise(made, schedule(), state=tmp_path / "state.pt", on_metrics=lambda _step, _values: None)
    assert torch.equal(torch.random.get_rng_state(), before)
