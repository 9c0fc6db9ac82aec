"""A resumable optimisation: what an update does depends on its number and the seed, never on interruptions."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from tongyeok.base import files
from tongyeok.base.stage import OnMetrics
from tongyeok.errors import TrainingError

BETAS = (0.8, 0.99)  # of AdamW, for both trainings; HiFi-GAN


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How to optimise: AdamW, linear warm-up, cosine decay to zero."""

    updates: int
    learning_rate: float  # at the end of the warm-up
    warmup_updates: int
    weight_decay: float
    clip_norm: float
    validate_every: int  # updates
    save_every: int  # updates
    seed: int

    def rate(self, step: int) -> float:
        """Learning rate of update `step`, counted from 0."""
        if step < self.warmup_updates:
            return self.learning_rate * (step + 1) / self.warmup_updates
        done = (step - self.warmup_updates) / max(1, self.updates - self.warmup_updates)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What to optimise; `loss(step)` draws its own batch, `validate()` gives plain figures of the module as it is."""

    name: str
    module: nn.Module
    loss: Callable[[int], Float[Tensor, ""]]
    validate: Callable[[], Mapping[str, float]]


@dataclass(kw_only=True, slots=True)
class _Progress:
    step: int = 0  # updates done
    summed: float = 0.0  # loss since the last validation
    rows: list[dict[str, float]] = field(default_factory=list)


def optimise(task: Task, schedule: Schedule, *, state: Path, on_metrics: OnMetrics) -> list[dict[str, float]]:
    """Train `task.module` in place, going on from `state` if an earlier run left it there.

    Args:
        task: what to optimise.
        schedule: how.
        state: file for the resumable state; kept when finished, so that a finished training is not repeated.
        on_metrics: receives `<task>/<figure>` at every validation.

    Returns:
        Curve rows: step, mean training loss since the last row, and what `task.validate` gave.

    Raises:
        TrainingError: the loss is not finite.
    """
    parameters = [parameter for parameter in task.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=BETAS, weight_decay=schedule.weight_decay)
    progress = _resume(task.module, optimizer, state)
    bar = tqdm(total=schedule.updates, initial=progress.step, desc=task.name, unit="update", disable=None)
    with bar, torch.random.fork_rng(devices=_accelerators(task.module)):
        while progress.step < schedule.updates:
            _update(task, schedule, parameters, optimizer, progress)
            bar.update()
            if progress.step % schedule.validate_every == 0 or progress.step == schedule.updates:
                since = (progress.step - 1) % schedule.validate_every + 1
                row = {"loss": progress.summed / since, **task.validate()}
                progress.summed = 0.0
                progress.rows.append({"step": float(progress.step), **row})
                on_metrics(progress.step, {f"{task.name}/{name}": value for name, value in row.items()})
                bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            if progress.step % schedule.save_every == 0 or progress.step == schedule.updates:
                _save(task.module, optimizer, progress, state)
    return progress.rows


def _update(
    task: Task,
    schedule: Schedule,
    parameters: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    progress: _Progress,
) -> None:
    torch.manual_seed(schedule.seed * 1_000_003 + progress.step)  # dropout; inside `fork_rng`
    optimizer.param_groups[0]["lr"] = schedule.rate(progress.step)
    task.module.train()
    loss = task.loss(progress.step)
    if not torch.isfinite(loss):
        raise TrainingError(
            f"{task.name}: the loss of update {progress.step + 1} is {float(loss)}; lower its learning rate "
            f"({schedule.learning_rate}) and look for broken audio near that update"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, schedule.clip_norm)
    optimizer.step()
    progress.step += 1
    progress.summed += float(loss.detach())


def _accelerators(module: nn.Module) -> list[torch.device]:
    device = next(module.parameters()).device
    return [] if device.type == "cpu" else [device]


def _resume(module: nn.Module, optimizer: torch.optim.Optimizer, state: Path) -> _Progress:
    if not state.is_file():
        return _Progress()
    device = next(module.parameters()).device
    saved = torch.load(state, map_location=device, weights_only=True)
    module.load_state_dict(saved["module"])
    optimizer.load_state_dict(saved["optimizer"])
    return _Progress(step=saved["step"], summed=saved["summed"], rows=saved["rows"])


def _save(module: nn.Module, optimizer: torch.optim.Optimizer, progress: _Progress, state: Path) -> None:
    with files.whole(state) as partial:
        torch.save(
            {
                "module": module.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": progress.step,
                "summed": progress.summed,
                "rows": progress.rows,
            },
            partial,
        )
