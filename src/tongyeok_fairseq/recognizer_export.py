"""Strip a fine-tuned recogniser to a checkpoint that needs no other file, and whose bytes repeat."""

import io
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary

from tongyeok.base.files import whole
from tongyeok_fairseq.safety import load_checkpoint

SECTIONS = ("common", "task", "model", "criterion")


def export(trained: Path, target: Path) -> None:
    """Write model, configuration and dictionary; fairseq loads it with this package as its `--user-dir`."""
    state = load_checkpoint(trained)
    cfg: dict[str, Any] = json.loads(json.dumps({name: state["cfg"][name] for name in SECTIONS}))
    cfg["common"] = {"seed": cfg["common"]["seed"]}
    cfg["task"] |= {"data": ".", "label_dir": None}
    cfg["model"] |= {"data": ".", "w2v_path": "", "no_pretrained_weights": True}
    plain = {
        "args": None,
        "cfg": cfg,
        "model": OrderedDict(
            (str(key), tensor.detach().contiguous().clone()) for key, tensor in state["model"].items()
        ),
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "CtcCriterion",
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {},
                "num_updates": int(state["optimizer_history"][-1]["num_updates"]),
            }
        ],
        "task_state": {"target_dictionary": _dictionary(state["task_state"]["target_dictionary"])},
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    with whole(target) as partial:
        partial.write_bytes(buffer.getvalue())


def _dictionary(stored: Dictionary) -> Dictionary:
    """The same symbols and counts in objects of their own: a pickle also stores which strings were one in memory."""
    fresh = Dictionary()
    symbols, counts = json.loads(json.dumps([stored.symbols, stored.count]))
    for symbol, count in list(zip(symbols, counts, strict=True))[fresh.nspecial :]:
        fresh.add_symbol(symbol, n=count)
    return fresh
