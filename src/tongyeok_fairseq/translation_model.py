"""The many-to-many Transformer: fairseq's own, its configuration in plain values, its checkpoint free of anything else.

A finished checkpoint holds no pickled class, no path and no time: unmodified fairseq loads it, also where `torch.load`
refuses everything but tensors and plain values, and the same training gives the same bytes.
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from torch import Tensor

from tongyeok.engine.translation import Architecture
from tongyeok.errors import CheckpointError
from tongyeok_fairseq.safety import load_checkpoint
from tongyeok_fairseq.translation_data import SOURCE, TARGET

ARCH = "transformer"
FIXED = {"share_all_embeddings": True, "activation_fn": "relu"}


def arguments(architecture: Architecture, *, max_positions: int) -> dict[str, Any]:
    """The architecture under fairseq's names."""
    sides: dict[str, Any] = {}
    for side, layers in (("encoder", architecture.encoder_layers), ("decoder", architecture.decoder_layers)):
        sides[f"{side}_layers"] = layers
        sides[f"{side}_embed_dim"] = architecture.width
        sides[f"{side}_ffn_embed_dim"] = architecture.ffn_width
        sides[f"{side}_attention_heads"] = architecture.heads
        sides[f"{side}_normalize_before"] = architecture.pre_norm
    return sides | {
        "dropout": architecture.dropout,
        "attention_dropout": architecture.attention_dropout,
        "activation_dropout": architecture.activation_dropout,
        "max_source_positions": max_positions,
        "max_target_positions": max_positions,
        **FIXED,
    }


NAMES = frozenset(
    arguments(
        Architecture(
            encoder_layers=1,
            decoder_layers=1,
            width=2,
            ffn_width=2,
            heads=1,
            pre_norm=True,
            dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
        ),
        max_positions=4,
    )
)


def build(values: Mapping[str, Any], dictionary: Dictionary) -> TransformerModel:
    """A fresh model with one embedding for source, target and output."""
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    return TransformerModel.build_model(Namespace(**values), task)


def load_translation_model(checkpoint: Path, dictionary: Dictionary) -> TransformerModel:
    """Load a checkpoint of this project, or of stock fairseq's `transformer` with shared embeddings.

    Only numbers, booleans and the activation's name are taken from the file: fairseq evaluates other options as code.

    Raises:
        CheckpointError: the file does not load safely, or does not fit the dictionary.
    """
    state = load_checkpoint(checkpoint)
    stored = (state.get("cfg") or {}).get("model")
    stored = vars(stored) if isinstance(stored, Namespace) else stored
    try:
        values = {name: stored[name] for name in sorted(NAMES)}
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint}: not a fairseq `transformer` checkpoint (no {error})") from None
    if not all(isinstance(value, int | float) for name, value in values.items() if name != "activation_fn"):
        raise CheckpointError(f"{checkpoint}: architecture options that are no numbers: {values}")
    rows = state["model"]["encoder.embed_tokens.weight"].shape[0]
    if rows != len(dictionary):
        raise CheckpointError(
            f"{checkpoint}: made for a dictionary of {rows} symbols, got {len(dictionary)}; take its own dict.txt"
        )
    model = build(values, dictionary)
    model.load_state_dict(state["model"], strict=True)
    return model


def write_checkpoint(path: Path, weights: Mapping[str, Tensor], values: Mapping[str, Any], *, updates: int) -> None:
    """Write a checkpoint for inference: weights and the plain configuration that fairseq needs to rebuild the model."""
    task = {"_name": "translation", "data": "", "source_lang": SOURCE, "target_lang": TARGET}
    task |= {"left_pad_source": True, "left_pad_target": False}
    task |= {name: values[name] for name in ("max_source_positions", "max_target_positions")}
    history = {
        "criterion_name": "LabelSmoothedCrossEntropyCriterion",
        "optimizer_name": "FairseqAdam",
        "lr_scheduler_state": {},
        "num_updates": updates,
    }
    state = {
        "args": None,
        "cfg": {"task": task, "model": {"_name": ARCH, "arch": ARCH, **values}},
        "model": {name: weights[name].detach().cpu().clone() for name in weights},
        "optimizer_history": [history],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
        "task_state": {},
    }
    torch.save(state, path)
