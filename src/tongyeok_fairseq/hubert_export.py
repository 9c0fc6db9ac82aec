"""Strip a finished training down to a checkpoint that stock fairseq loads and whose bytes repeat."""

import io
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models.hubert.hubert import HubertConfig
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig

from tongyeok.base.files import whole
from tongyeok_fairseq.safety import load_checkpoint

PATHS = ("data", "label_dir", "save_dir", "user_dir", "log_file", "tensorboard_logdir")


def export(trained: Path, target: Path) -> None:
    """Write the model, its configuration and its label dictionary, without optimizer state, times and paths.

    Names of this project's classes become fairseq's own, whose parameters they share. Everything is rebuilt from plain
    values, since a pickle also stores which strings were one object in memory, which differs after a resumed training.
    """
    state = load_checkpoint(trained)
    updates = int(state["optimizer_history"][-1]["num_updates"])
    plain = {
        "args": None,
        "cfg": _configuration(state["cfg"]),
        "model": OrderedDict(
            (str(key), tensor.detach().contiguous().clone()) for key, tensor in state["model"].items()
        ),
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "HubertCriterion",
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {},
                "num_updates": updates,
            }
        ],
        "task_state": {"dictionaries": [_dictionary(each) for each in state["task_state"]["dictionaries"]]},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    with whole(target) as partial:
        partial.write_bytes(buffer.getvalue())


def _configuration(stored: dict[str, Any]) -> dict[str, Any]:
    cfg: dict[str, Any] = json.loads(json.dumps(stored))
    for section in cfg.values():
        if isinstance(section, dict):
            section.update({key: None for key in PATHS if section.get(key) is not None})
    cfg["task"] = {
        key: value for key, value in cfg["task"].items() if key in HubertPretrainingConfig.__dataclass_fields__
    }
    cfg["model"] = {key: value for key, value in cfg["model"].items() if key in HubertConfig.__dataclass_fields__}
    cfg["task"] |= {"_name": "hubert_pretraining", "data": "."}
    cfg["model"]["_name"] = "hubert"
    cfg["criterion"]["_name"] = "hubert"
    cfg["checkpoint"]["save_dir"] = "checkpoints"
    cfg["common"]["cpu"] = False
    return cfg


def _dictionary(stored: Dictionary) -> Dictionary:
    fresh = Dictionary()
    symbols, counts = json.loads(json.dumps([stored.symbols, stored.count]))
    for symbol, count in list(zip(symbols, counts, strict=True))[fresh.nspecial :]:
        fresh.add_symbol(symbol, n=count)
    return fresh
