"""Strip a finished training down to a checkpoint that stock fairseq loads and whose bytes repeat."""

import json
from pathlib import Path
from typing import Any

from fairseq.models.hubert.hubert import HubertConfig
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig

from tongyeok_fairseq import plain_checkpoint
from tongyeok_fairseq.safety import load_checkpoint

PATHS = ("data", "label_dir", "save_dir", "user_dir", "log_file", "tensorboard_logdir")


def export(trained: Path, target: Path) -> None:
    """Write the model, its configuration and its label dictionary, without optimizer state, times and paths.

    Names of this project's classes become fairseq's own, whose parameters they share.
    """
    state = load_checkpoint(trained)
    labels = [plain_checkpoint.fresh(each) for each in state["task_state"]["dictionaries"]]
    plain_checkpoint.write(
        target,
        state,
        cfg=_configuration(state["cfg"]),
        criterion="HubertCriterion",
        task_state={"dictionaries": labels},
    )


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
