"""Run fairseq's trainer inside this process: resumable, repeatable, and never silent about a crash."""

import functools
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import add_defaults
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from tongyeok.base.division import Division
from tongyeok.base.products import fast_products
from tongyeok.base.stage import OnMetrics
from tongyeok.base.team import Team, gone, here
from tongyeok.errors import TongyeokError, TrainingError
from tongyeok_fairseq.progress import Recorder, heard_by
from tongyeok_fairseq.safety import load_checkpoint
from tongyeok_fairseq.steady import BEST, LAST, DivergedError, Monitor, Saver, SteadyTrainer

NEVER = 10**9
LOWER_LR = 0.5  # factor of each step back after a divergence
LOWEST_LR = 0.1  # give up below this share of the configured learning rate
LOG = "fairseq.log"
GROUPS = ("task", "model", "criterion", "optimizer", "lr_scheduler")
KNOWN_WARNINGS = (  # of fairseq 0.12 under torch 2.13
    r"`torch\.nn\.utils\.weight_norm` is deprecated",
    r"'pin_memory' argument is set as true but no accelerator is found",
    r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated",
    r"Distributed is already initialized, cannot initialize twice!",  # there is one process group, made by the runner
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished training: the state after the last update, the one that validated best, and the curves.

    `curves` has one mapping per reported update, with `step` and figures such as `train/loss` and `valid/loss`; it
    holds no clock times, and is the same whether the training was interrupted or not.
    """

    last: Path
    best: Path
    updates: int
    curves: list[dict[str, float]]


def train(
    config: Mapping[str, Mapping[str, Any]],
    *,
    scratch: Path,
    division: Division,
    on_metrics: OnMetrics,
    lower_lr_on_divergence: bool,
) -> Trained:
    """Train with fairseq until `optimization.max_update`, going on from `scratch` where an earlier run was interrupted.

    In a team of processes all call this. fairseq reduces their gradients (`legacy_ddp`); each takes every n-th batch of
    the order that one process would take them in, so that an update sees the same batches whatever the number of
    processes, which may change when a training is resumed.

    Args:
        config: fairseq's configuration groups as plain values. `task`, `model`, `criterion`, `optimizer` and
            `lr_scheduler` carry a `_name`; needed too are `optimization.{max_update,lr,clip_norm}`, a batch size under
            `dataset`, `checkpoint.save_interval_updates` and `common.{seed,log_interval}`. Unknown keys are refused.
        scratch: folder for resumable state and fairseq's log.
        division: how the processes share `optimization.update_freq`, and the training's name.
        on_metrics: receives training and validation figures.
        lower_lr_on_divergence: after a divergence go back to the last saved state at half the learning rate, up to
            three times; otherwise stop at once.

    Raises:
        TrainingError: diverged, fairseq crashed, or processes see different states.
    """
    team = here()
    assert [division.batches] == config["optimization"]["update_freq"]
    assert division.processes == team.size
    scratch.mkdir(parents=True, exist_ok=True)
    last, updates, name = scratch / LAST, config["optimization"]["max_update"], division.name
    if team.leads:
        tqdm.write(str(division), file=sys.stderr)
    scale = 1.0
    while True:
        done, kept_scale = _progress(last)
        team.expect_alike(done, last)
        scale = min(scale, kept_scale)
        patience = config["checkpoint"].get("patience", -1)
        if done < updates and not _out_of_patience(_rows(last), patience):
            recorder = Recorder(on_metrics, name=name, updates=updates, shown=team.leads)
            try:
                settings = _with_lr(config, scale, update_freq=division.own)
                _run(settings, scratch=scratch, recorder=recorder, scale=scale, team=team)
            except DivergedError as error:
                if not lower_lr_on_divergence or scale * LOWER_LR < LOWEST_LR:
                    raise
                scale *= LOWER_LR
                if team.leads:
                    back = _progress(last)[0]
                    said = f"{name}: {error}; going back to update {back} at {scale:g} x learning rate"
                    tqdm.write(said, file=sys.stderr)
                continue
            done, _ = _progress(last)
        rows = _rows(last)
        if done < updates and not _out_of_patience(rows, patience):
            raise TrainingError(f"{name}: fairseq stopped at update {done} of {updates}; its log is {scratch / LOG}")
        best = scratch / BEST
        return Trained(last=last, best=best if best.exists() else last, updates=done, curves=rows)


def _progress(last: Path) -> tuple[int, float]:
    """Finished updates and the share of the learning rate in force, from the saved state."""
    if not last.exists():
        return 0, 1.0
    state = load_checkpoint(last)
    return state["optimizer_history"][-1]["num_updates"], state["extra_state"]["tongyeok"]["scale"]


def _rows(last: Path) -> list[dict[str, float]]:
    """The curves in the saved state."""
    rows: list[dict[str, float]] = load_checkpoint(last)["extra_state"]["tongyeok"]["rows"] if last.exists() else []
    return rows


def _out_of_patience(rows: Sequence[Mapping[str, float]], patience: int) -> bool:
    """Whether the last `patience` validations brought no lower loss; never where `patience` is not positive.

    fairseq keeps its count on a function, where a resumed run loses it and the next training of the process finds it.
    """
    losses = [row["valid/loss"] for row in rows if "valid/loss" in row]
    return 0 < patience < len(losses) and min(losses[-patience:]) >= min(losses[:-patience])


def _with_lr(config: Mapping[str, Mapping[str, Any]], scale: float, *, update_freq: int) -> dict[str, dict[str, Any]]:
    plain = {group: dict(values) for group, values in config.items()}
    plain["optimization"]["lr"] = [lr * scale for lr in plain["optimization"]["lr"]]
    plain["optimization"]["update_freq"] = [update_freq]
    return plain


def _run(
    config: Mapping[str, Mapping[str, Any]], *, scratch: Path, recorder: Recorder, scale: float, team: Team
) -> None:
    from fairseq.distributed import utils as distributed  # noqa: PLC0415

    main = _trainer_module()
    monitor = Monitor()
    cfg = compose(config, scratch=scratch, team=team)
    log = scratch / (LOG if team.leads else f"{team.rank}.{LOG}")

    def extra() -> dict[str, Any]:
        return {"rows": recorder.rows, "monitor": monitor.state(), "scale": scale}

    original_load = checkpoint_utils.load_checkpoint

    def load(cfg: Any, trainer: Any, **options: Any) -> Any:  # noqa: ANN401  fairseq's signature
        state, iterator = original_load(cfg, trainer, **options)
        if state is not None:
            recorder.rows = state["tongyeok"]["rows"]
            monitor.restore(state["tongyeok"]["monitor"])
            recorder.advance(trainer.get_num_updates())
        team.expect_alike(trainer.get_num_updates(), scratch / LAST)
        return state, iterator

    with (
        fast_products(),
        _replaced(main, "Trainer", functools.partial(SteadyTrainer, monitor=monitor, recorder=recorder)),
        _replaced(checkpoint_utils, "save_checkpoint", Saver(extra)),
        _replaced(checkpoint_utils, "load_checkpoint", load),
        _replaced(main, "should_stop_early", lambda cfg, _: _out_of_patience(recorder.rows, cfg.checkpoint.patience)),
        heard_by(recorder),
        _logging_to(log),
        warnings.catch_warnings(),
    ):
        for message in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        try:
            distributed.call_main(cfg, main.main)
        except TongyeokError:
            raise
        except Exception as error:
            logging.getLogger("fairseq").exception("crashed")
            if gone(error):
                raise
            reason = str(error).strip() or type(error).__name__
            raise TrainingError(f"fairseq crashed: {reason}; its log is {log}") from error


def compose(config: Mapping[str, Mapping[str, Any]], *, scratch: Path, team: Team) -> DictConfig:
    """The whole of fairseq's configuration, as `fairseq-hydra-train` composes it, with this project's fixed choices."""
    cuda = torch.cuda.is_available()
    distributed: dict[str, Any] = {"distributed_world_size": team.size}
    if team.size > 1:  # fairseq then takes the process group that there is, and starts no processes
        distributed |= {
            "distributed_rank": team.rank,
            "distributed_init_method": "env://",
            "distributed_no_spawn": True,
            "device_id": torch.cuda.current_device() if cuda else 0,
            "ddp_backend": "legacy_ddp",
        }
    fixed = {
        "common": {"cpu": not cuda, "no_progress_bar": True, "suppress_crashes": False},
        "distributed_training": distributed,
        "dataset": {
            "validate_interval": NEVER,
            "disable_validation": False,
            "data_buffer_size": 0,  # the buffer's thread outlives an interrupted run and aborts the interpreter
            "required_batch_size_multiple": 1,  # above 1, fairseq drops the last batch of every epoch and validation
        },
        "checkpoint": {
            "save_dir": str(scratch),
            "save_interval": NEVER,
            "load_checkpoint_on_all_dp_ranks": True,  # fairseq's way to send it does not load under torch 2.6 and later
        },
    }
    cfg = OmegaConf.structured(FairseqConfig)
    for group in {**fixed, **config}:
        values = {**config.get(group, {}), **fixed.get(group, {})}
        if group in GROUPS:
            cfg[group] = OmegaConf.create(values)
        else:
            cfg[group] = OmegaConf.merge(cfg[group], values)
    save = cfg.checkpoint.save_interval_updates
    cfg.dataset.validate_interval_updates = save
    add_defaults(cfg)
    missing = [group for group in GROUPS if cfg[group] is None]
    assert not missing, f"configuration lacks {missing}"
    assert 0 < cfg.optimization.max_update < math.inf
    plain = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True, enum_to_str=True))
    OmegaConf.set_struct(plain, True)
    return plain


def _trainer_module() -> Any:  # noqa: ANN401  a module
    """Import fairseq's command without letting it configure this process's logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    import fairseq_cli.train  # noqa: PLC0415

    root.handlers[:] = handlers
    root.setLevel(level)
    return fairseq_cli.train


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:  # noqa: ANN401
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send everything that fairseq logs to a file, and nothing to the terminal."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("fairseq", "fairseq_cli")]
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (propagate, level) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
            logger.setLevel(level)
        handler.close()
