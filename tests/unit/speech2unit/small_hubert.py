"""A HuBERT small enough to be made in a test, with random weights."""

import dataclasses
import importlib
import warnings
from pathlib import Path

import torch

LAYERS, WIDTH = 3, 32
CONVOLUTIONS = {
    "base": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
    "demo": "[(16,20,10)] + [(16,3,2)] * 3 + [(24,2,2)] * 2",
}


def write_checkpoint(path: Path, *, convolutions: str, **changes: object) -> Path:
    """A checkpoint as stock fairseq's trainer writes it: a HuBERT with random weights, its task and its dictionary."""
    importlib.import_module("tongyeok_fairseq")
    from fairseq.data import Dictionary
    from fairseq.models.hubert.hubert import HubertConfig, HubertModel
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig
    from omegaconf import OmegaConf

    dictionary = Dictionary()
    for label in range(10):
        dictionary.add_symbol(str(label), n=1)
    model_cfg = HubertConfig(
        label_rate=50.0,
        encoder_layers=LAYERS,
        encoder_embed_dim=WIDTH,
        encoder_ffn_embed_dim=64,
        encoder_attention_heads=4,
        final_dim=16,
        conv_feature_layers=convolutions,
        conv_pos=16,
        conv_pos_groups=4,
    )
    task_cfg = HubertPretrainingConfig(
        data=".", labels=["km"], label_rate=50.0, normalize=bool(changes.get("normalize"))
    )
    if changes.get("layer_norm"):
        model_cfg = dataclasses.replace(model_cfg, extractor_mode="layer_norm", layer_norm_first=True)
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        model = HubertModel(OmegaConf.structured(model_cfg), task_cfg, [dictionary])
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    torch.save(
        {
            "args": None,
            "cfg": {
                "model": dataclasses.asdict(model_cfg) | {"_name": "hubert"},
                "task": dataclasses.asdict(task_cfg) | {"_name": "hubert_pretraining"},
            },
            "model": model.state_dict(),
            "optimizer_history": [{"num_updates": 7, "lr_scheduler_state": {}, "optimizer_name": "FairseqAdam"}],
            "task_state": {"dictionaries": [dictionary]},
            "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        },
        path,
    )
    return path
