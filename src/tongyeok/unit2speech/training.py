"""A resumable optimisation: what an update does depends on its number and the seed, never on interruptions.

In a team of processes (`tongyeok.base.team`) every process computes the loss of its part of a batch, and torch's
`DistributedDataParallel` averages the gradients; the leader alone saves.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from tongyeok.base import files
from tongyeok.base.stage import OnMetrics
from tongyeok.base.team import Team, here
from tongyeok.errors import UnstableError

BETAS = (0.8, 0.99)  # of AdamW, for both trainings; HiFi-GAN
SEED_STEP, RANK_STEP = 1_000_003, 1 << 40  # between seeds of dropout: of two schedules' updates, and of two processes


@dataclass(frozen=True, kw_only=True, slots=True)
class Decay:
    """The learning rate falls to `factor` of itself after `every` updates, again and again."""

    factor: float
    every: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How to optimise: AdamW, linear warm-up, then cosine decay to zero or, if given, `decay` in steps."""

    updates: int
    learning_rate: float  # at the end of the warm-up
    warmup_updates: int
    weight_decay: float
    clip_norm: float | None  # largest gradient norm; None: gradients are not clipped
    validate_every: int  # updates
    save_every: int  # updates
    seed: int
    decay: Decay | None = None

    def rate(self, step: int) -> float:
        """Learning rate of update `step`, counted from 0."""
        if step < self.warmup_updates:
            return self.learning_rate * (step + 1) / self.warmup_updates
        if self.decay is not None:
            return self.learning_rate * float(self.decay.factor ** (step // self.decay.every))
        done = (step - self.warmup_updates) / max(1, self.updates - self.warmup_updates)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True, slots=True)
class Opponent:
    """What learns against a task's module, with an optimiser of its own: it updates first, on the same step."""

    module: nn.Module
    loss: Callable[[int], Float[Tensor, ""]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What to optimise; `loss(step)` draws its own batch, `validate()` gives plain figures of the module as it is.

    In a team `loss` is that of this process's part of the batch, such that the mean over the processes is the loss of
    the batch.
    """

    name: str
    module: nn.Module
    loss: Callable[[int], Float[Tensor, ""]]
    validate: Callable[[], Mapping[str, float]]
    opponent: Opponent | None = None
    partly: bool = False  # whether some parameters of the module have no part in the loss


class Lesson(nn.Module):
    """A module whose forward pass is its loss of a step, so that torch can watch the whole of it."""

    def __init__(self, module: nn.Module, loss: Callable[[int], Float[Tensor, ""]]) -> None:
        super().__init__()
        self.module, self._loss = module, loss

    def forward(self, step: int) -> Float[Tensor, ""]:
        """The loss."""
        return self._loss(step)


class Player:
    """A module with its loss and its optimiser; in a team, one of its copies, whose gradients are averaged."""

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[int], Float[Tensor, ""]],
        schedule: Schedule,
        team: Team,
        *,
        partly: bool = False,
    ) -> None:
        self.module, self._schedule, self._team = module, schedule, team
        self._loss: nn.Module = Lesson(module, loss)
        if team.size > 1:
            self._loss = DistributedDataParallel(self._loss, forward_sync_buffers=False, find_unused_parameters=partly)
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=0.0, betas=BETAS, weight_decay=schedule.weight_decay, fused=True
        )

    def update(self, step: int, *, name: str) -> float:
        """Take one step and return the loss before it.

        Raises:
            UnstableError: the loss is not finite, in whatever process.
        """
        self._optimizer.param_groups[0]["lr"] = self._schedule.rate(step)
        loss = self._loss(step)
        mean = float(self._team.mean(loss))
        if not math.isfinite(mean):
            raise UnstableError(
                f"{name} of update {step + 1} is {mean}; lower its learning rate "
                f"({self._schedule.learning_rate}) and look for broken audio near that update"
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._schedule.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._schedule.clip_norm)
        self._optimizer.step()
        return mean

    def state(self) -> dict[str, Any]:
        """Weights and optimiser, as they are."""
        return {"module": self.module.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])


@dataclass(kw_only=True, slots=True)
class _Progress:
    step: int = 0  # updates done
    summed: dict[str, float] = field(default_factory=dict)  # losses since the last validation
    rows: list[dict[str, float]] = field(default_factory=list)


def optimise(task: Task, schedule: Schedule, *, state: Path, on_metrics: OnMetrics) -> list[dict[str, float]]:
    """Train `task.module` in place, and its opponent, going on from `state` if an earlier run left it there.

    In a team all processes call this, and see the same `state`, which may be of another number of processes.

    Args:
        task: what to optimise.
        schedule: how, for both.
        state: file for the resumable state; kept when finished, so that a finished training is not repeated.
        on_metrics: receives `<task>/<figure>` at every validation.

    Returns:
        Curve rows: step, mean training loss since the last row (and the opponent's), and what `task.validate` gave.

    Raises:
        UnstableError: a loss is not finite.
        TrainingError: processes see different states.
    """
    team = here()
    players: dict[str, Player] = {}
    if task.opponent is not None:
        players["opponent_loss"] = Player(task.opponent.module, task.opponent.loss, schedule, team)
    players["loss"] = Player(task.module, task.loss, schedule, team, partly=task.partly)
    progress = _resume(players, state, device=next(task.module.parameters()).device)
    team.expect_alike(progress.step, state)
    hidden = None if team.leads else True
    bar = tqdm(total=schedule.updates, initial=progress.step, desc=task.name, unit="update", disable=hidden)
    with bar, torch.random.fork_rng(devices=_accelerators(task.module)):
        while progress.step < schedule.updates:
            seed = schedule.seed * SEED_STEP + progress.step + team.rank * RANK_STEP
            torch.manual_seed(seed)  # dropout; inside `fork_rng`
            for player in players.values():
                player.module.train()
            for name, player in players.items():
                loss = player.update(progress.step, name=f"{task.name}: the {name.replace('_', ' ')}")
                progress.summed[name] = progress.summed.get(name, 0.0) + loss
            progress.step += 1
            bar.update()
            if progress.step % schedule.validate_every == 0 or progress.step == schedule.updates:
                since = (progress.step - 1) % schedule.validate_every + 1
                row = {name: progress.summed[name] / since for name in sorted(players)} | dict(task.validate())
                progress.summed = {}
                progress.rows.append({"step": float(progress.step), **row})
                on_metrics(progress.step, {f"{task.name}/{name}": value for name, value in row.items()})
                bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            if progress.step % schedule.save_every == 0 or progress.step == schedule.updates:
                team.once(lambda: _save(players, progress, state))
    return progress.rows


def _accelerators(module: nn.Module) -> list[torch.device]:
    device = next(module.parameters()).device
    return [] if device.type == "cpu" else [device]


def _resume(players: Mapping[str, Player], state: Path, *, device: torch.device) -> _Progress:
    if not state.is_file():
        return _Progress()
    saved = torch.load(state, map_location=device, weights_only=True)
    for name, player in players.items():
        player.restore(saved["players"][name])
    return _Progress(step=saved["step"], summed=saved["summed"], rows=saved["rows"])


def _save(players: Mapping[str, Player], progress: _Progress, state: Path) -> None:
    with files.whole(state) as partial:
        torch.save(
            {
                "players": {name: player.state() for name, player in players.items()},
                "step": progress.step,
                "summed": progress.summed,
                "rows": progress.rows,
            },
            partial,
        )
