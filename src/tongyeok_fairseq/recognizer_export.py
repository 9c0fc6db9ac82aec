"""Strip a fine-tuned recogniser to a checkpoint that needs no other file, and whose bytes repeat."""

import json
from pathlib import Path
from typing import Any

from tongyeok_fairseq import plain_checkpoint
from tongyeok_fairseq.safety import load_checkpoint

SECTIONS = ("common", "task", "model", "criterion")


def export(trained: Path, target: Path) -> None:
    """Write model, configuration and dictionary; fairseq loads it with this package as its `--user-dir`."""
    state = load_checkpoint(trained)
    cfg: dict[str, Any] = json.loads(json.dumps({name: state["cfg"][name] for name in SECTIONS}))
    cfg["common"] = {"seed": cfg["common"]["seed"]}
    cfg["task"] |= {"data": ".", "label_dir": None}
    cfg["model"] |= {"data": ".", "w2v_path": "", "no_pretrained_weights": True}
    letters = plain_checkpoint.fresh(state["task_state"]["target_dictionary"])
    task_state = {"target_dictionary": letters}
    plain_checkpoint.write(target, state, cfg=cfg, criterion="CtcCriterion", task_state=task_state)
