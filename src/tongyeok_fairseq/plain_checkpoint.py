"""Finished trainings as checkpoints without optimizer state, times and paths, whose bytes repeat.

Everything is rebuilt from plain values, since a pickle also stores which strings were one object in memory, which
differs after a resumed training.
"""

import io
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary

from tongyeok.base.files import whole


def write(
    target: Path, state: dict[str, Any], *, cfg: dict[str, Any], criterion: str, task_state: dict[str, Any]
) -> None:
    """Write `state`'s weights with a plain configuration, as fairseq loads them.

    Args:
        target: the file.
        state: of the finished training, as fairseq saved it.
        cfg: sections of plain values.
        criterion: name of the criterion's class, which fairseq compares when it resumes.
        task_state: what the task needs beside the configuration, e.g. dictionaries made by `fresh`.
    """
    plain = {
        "args": None,
        "cfg": cfg,
        "model": OrderedDict(
            (str(key), tensor.detach().contiguous().clone()) for key, tensor in state["model"].items()
        ),
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": criterion,
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {},
                "num_updates": int(state["optimizer_history"][-1]["num_updates"]),
            }
        ],
        "task_state": task_state,
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    with whole(target) as partial:
        partial.write_bytes(buffer.getvalue())


def fresh(stored: Dictionary) -> Dictionary:
    """The same symbols and counts in objects of their own."""
    copy = Dictionary()
    symbols, counts = json.loads(json.dumps([stored.symbols, stored.count]))
    for symbol, count in list(zip(symbols, counts, strict=True))[copy.nspecial :]:
        copy.add_symbol(symbol, n=count)
    return copy
