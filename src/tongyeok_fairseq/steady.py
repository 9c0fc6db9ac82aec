"""fairseq's trainer made steady: skips non-finite updates, notices divergence, saves whole checkpoints only.

It is steady in the number of processes too: what an update draws at random, and where a saved state goes on, depend on
its batches alone. Loss and gradient norm are those of all processes, so that all decide alike. The loss that is
watched is the leader's to the last bit; the norm each takes of the averaged gradients, and clips by its own.
"""

# ruff: noqa: ANN401  fairseq is untyped

import statistics
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fairseq import utils
from fairseq.trainer import Trainer

from tongyeok.base.files import whole
from tongyeok.base.team import here
from tongyeok.errors import UnstableError
from tongyeok_fairseq.progress import Recorder

LAST, BEST = "checkpoint_last.pt", "checkpoint_best.pt"
REFERENCE_UPDATES = 100  # running median of the loss is taken over so many updates
RECENT_UPDATES = 9  # and compared with the median of the last few
JUMP = 1.25  # the origin's HuBERT jumped from 4.7 to 8.3 (x 1.8) and stayed; batches vary by a few per cent
MOST_SKIPPED = 20  # consecutive updates with a non-finite gradient
SEED_STEP = 1_000_003  # between the seeds of an update's batches; more than there are updates, which are 1 apart
AS_ONE = {  # what fairseq's configuration says of a training in one process
    "distributed_world_size": 1,
    "distributed_rank": 0,
    "distributed_init_method": None,
    "distributed_no_spawn": False,
    "device_id": 0,
    "ddp_backend": "pytorch_ddp",
}
PLACE = "iterations_in_epoch"  # fairseq's name of the batches that a saved state has behind it


class DivergedError(UnstableError):
    """The loss jumped and stayed up; carries the update it was noticed at."""

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(message)
        self.step = step


class Monitor:
    """Watches loss and gradient norm of every update against their running medians."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._losses: deque[float] = deque(maxlen=REFERENCE_UPDATES + RECENT_UPDATES)
        self._norms: deque[float] = deque(maxlen=REFERENCE_UPDATES + RECENT_UPDATES)
        self._skipped = 0

    def watch(self, *, step: int, loss: float, norm: float, lr: float) -> None:
        """Take one finished update.

        Raises:
            DivergedError: the median loss of the last updates exceeds the running median by 25 %.
        """
        self._skipped = 0
        self._losses.append(loss)
        self._norms.append(norm)
        if len(self._losses) < REFERENCE_UPDATES + RECENT_UPDATES:
            return
        before, recent = list(self._losses)[:-RECENT_UPDATES], list(self._losses)[-RECENT_UPDATES:]
        usual, now = statistics.median(before), statistics.median(recent)
        if now > JUMP * usual:
            norms = list(self._norms)
            raise DivergedError(
                f"diverged at update {step}: loss {now:.3f} against a running median of {usual:.3f}, gradient norm "
                f"{max(norms[-RECENT_UPDATES:]):.3g} against {statistics.median(norms[:-RECENT_UPDATES]):.3g}, at "
                f"learning rate {lr:.3g}; lower it, lengthen the warm-up or take more audio or tokens per update",
                step=step,
            )

    def skip(self, *, step: int, lr: float) -> None:
        """Count an update whose gradient is not finite.

        Raises:
            UnstableError: too many in a row.
        """
        self._skipped += 1
        if self._skipped > MOST_SKIPPED:
            raise UnstableError(
                f"gradient not finite in {self._skipped} updates running, up to update {step}, at learning rate "
                f"{lr:.3g}; lower the learning rate, or look for NaN in the audio"
            )

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"losses": list(self._losses), "norms": list(self._norms), "skipped": self._skipped}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self._losses.clear()
        self._losses.extend(state["losses"])
        self._norms.clear()
        self._norms.extend(state["norms"])
        self._skipped = state["skipped"]


class SteadyTrainer(Trainer):  # type: ignore[misc]
    """fairseq's trainer with a monitor: a non-finite gradient is dropped with its update, not fatal."""

    def __init__(self, *args: Any, monitor: Monitor, recorder: Recorder, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._monitor = monitor
        self._recorder = recorder
        self._norm: float | None = None
        self._iterator: Any = None
        self._team = here()
        if self._team.size > 1:
            self._reduce_only_what_learnt()
        self._seed, self._taken = 0, 0  # of the update's or validation's first batch; batches that this process took

    def get_train_iterator(self, epoch: int, **options: Any) -> Any:
        """Batches of the training set; fairseq's signature.

        fairseq draws the composition of batches once, by seed and the epoch it is drawn in, and keeps it: a run resumed
        in a later epoch would have other batches than one that went through. Here it is always that of the first epoch.
        """
        iterator = super().get_train_iterator(1, **options)
        if iterator is not self._iterator:
            self._iterator = iterator
            iterator.epoch = epoch
        return iterator

    def _reduce_only_what_learnt(self) -> None:
        """Let a layer that no batch of an update used have no gradient, as in one process.

        fairseq's `legacy_ddp` gives it one of 0, by which the optimizer's momentum and decay would still move it.
        """
        wrapped = self.model.module
        parameters = [parameter for parameter in wrapped.parameters() if parameter.requires_grad]
        reduce_all = wrapped.all_reduce_grads

        def reduce() -> None:
            learnt = self._team.any([parameter.grad is not None for parameter in parameters])
            reduce_all()
            for parameter, has in zip(parameters, learnt, strict=True):
                if not has:
                    parameter.grad = None

        wrapped.all_reduce_grads = reduce

    def state_dict(self) -> dict[str, Any]:
        """What one process with all the batches of an update would save."""
        state: dict[str, Any] = super().state_dict()
        for group in filter(lambda values: isinstance(values, dict), state["cfg"].values()):
            group.update({key: value for key, value in AS_ONE.items() if key in group})
        frequencies = state["cfg"]["optimization"]["update_freq"]
        state["cfg"]["optimization"]["update_freq"] = [each * self._team.size for each in frequencies]
        return state

    def load_checkpoint(self, *args: Any, **options: Any) -> Any:
        """Load; fairseq's signature. The saved place in the epoch, counted over all processes, becomes this one's."""
        extra = super().load_checkpoint(*args, **options)
        if extra is not None:
            extra["train_iterator"][PLACE] //= self._team.size
        return extra

    def begin_valid_epoch(self, epoch: int) -> None:
        """Begin a validation; fairseq's signature."""
        fixed = self.cfg.dataset.fixed_validation_seed
        self._seed, self._taken = self.cfg.common.seed if fixed is None else fixed, 0
        super().begin_valid_epoch(epoch)

    def _set_seed(self) -> None:
        """Begin an update: its first batch draws as fairseq has it."""
        self._seed, self._taken = self.cfg.common.seed + self.get_num_updates(), 0

    def _prepare_sample(self, sample: Any, is_dummy: bool = False) -> Any:
        """Take up a batch. What it draws at random depends on its place in the update, not on who took the others."""
        if not is_dummy:
            place = self._taken * self._team.size + self._team.rank
            utils.set_torch_seed(self._seed + place * SEED_STEP)
            self._taken += 1
        return super()._prepare_sample(sample, is_dummy)

    def clip_grad_norm(self, clip_norm: float) -> torch.Tensor:
        """Clip; where the norm is not finite, drop all gradients, so that the optimizer's step changes nothing."""
        norm: torch.Tensor = super().clip_grad_norm(clip_norm)
        if torch.isfinite(norm).all():
            self._norm = float(norm)
            return norm
        self._norm = None
        self._monitor.skip(step=self.get_num_updates() + 1, lr=self.get_lr())
        self.zero_grad()
        return torch.zeros_like(norm)

    def train_step(self, samples: Any, raise_oom: bool = False) -> Any:
        """One update, watched.

        At the end of an epoch fairseq gives processes without a batch an empty one. Beside others it must go: fairseq
        forgets the sample size of all batches that end in an empty one.
        """
        output = super().train_step([sample for sample in samples if sample] or samples[:1], raise_oom)
        step = self.get_num_updates()
        if output is not None and self._norm is not None:
            loss = self._team.agreed(float(output["loss"]))
            self._monitor.watch(step=step, loss=loss, norm=self._norm, lr=self.get_lr())
        self._recorder.advance(step)
        return output


class Saver:
    """Takes the place of `checkpoint_utils.save_checkpoint`: the last state and, at a new best, the best one.

    fairseq saves one file and copies it over the others, so that a kill can leave half a `checkpoint_last.pt`; its best
    value lives on the function and leaks into the next training of the process. Here every file appears by a rename,
    the best one first, and `best` lives on this object (fairseq reads and writes that attribute). Of several processes
    the leader writes, and what it writes does not tell how many there were.
    """

    best: float

    def __init__(self, extra: Callable[[], dict[str, Any]]) -> None:
        """Save what `extra()` returns under `extra_state["tongyeok"]`."""
        self._extra = extra

    def __call__(self, cfg: Any, trainer: Trainer, epoch_itr: Any, val_loss: float | None) -> str:
        """Save; fairseq's signature. Returns the path of the file."""
        trainer.consolidate_optimizer()
        pick = max if cfg.maximize_best_checkpoint_metric else min
        is_best = val_loss is not None and (not hasattr(self, "best") or pick(val_loss, self.best) == val_loss)
        if is_best and val_loss is not None:
            self.best = val_loss
        last = Path(cfg.save_dir) / LAST
        if not trainer.is_data_parallel_master:
            return str(last)
        place = epoch_itr.state_dict()
        place[PLACE] *= trainer.data_parallel_world_size
        state = {"train_iterator": place, "val_loss": val_loss, "tongyeok": self._extra()}
        if hasattr(self, "best"):
            state["best"] = self.best
        with whole(last) as partial:
            trainer.save_checkpoint(str(partial), state)
            if is_best:
                with whole(last.with_name(BEST)) as best:
                    best.hardlink_to(partial)
        return str(last)
