"""Load fairseq checkpoints without running code from them.

Two doors must be shut. Unpickling: `torch.load` with `weights_only` and an allow-list of plain classes. And fairseq's
own `eval` of configuration strings (`conv_feature_layers`, `adam_betas`, …), which an allow-list cannot see: every such
string is parsed here, as a literal, before fairseq meets it.
"""

import argparse
import ast
import collections
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import omegaconf
import torch
from fairseq.data.dictionary import Dictionary

from tongyeok.errors import CheckpointError

ConvLayers = list[tuple[int, int, int]]

CONV_TERM = re.compile(r"\s*\[((?:\s*\(\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\)\s*,?)+)\]\s*(?:\*\s*(\d+)\s*)?")
CONV_LAYER = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)")
MOST_CONV_LAYERS = 64
EVALUATED = {  # what fairseq 0.12 passes to `eval` (grep '\beval(')
    "adam_betas",
    "adamax_betas",
    "adafactor_eps",
    "lamb_betas",
    "character_filters",
    "wer_args",
    "override_encoder_layers",
    "encoder_attention",
    "decoder_attention",
    "self_attention",
    "gated_attention",
    "project_input",
    "downsample",
    "pretrained",
    "encoder_layers",
    "decoder_layers",
    "adaptive_softmax_cutoff",
}


def allow_safe_globals() -> None:
    """Tell `torch.load` which classes fairseq's checkpoints hold; none of them runs code when unpickled."""
    torch.serialization.add_safe_globals(
        [
            argparse.Namespace,
            Dictionary,
            np.ndarray,
            np.dtype,
            np._core.multiarray._reconstruct,  # noqa: SLF001  the name that numpy itself pickles
            (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # noqa: SLF001
            np._core.multiarray.scalar,  # noqa: SLF001
            np.dtypes.Int64DType,
            np.dtypes.Float32DType,
            np.dtypes.Float64DType,
            omegaconf.DictConfig,
            omegaconf.ListConfig,
            omegaconf.base.ContainerMetadata,
            omegaconf.base.Metadata,
            omegaconf.nodes.AnyNode,
            typing.Any,
            collections.defaultdict,
            dict,
            list,
            int,
        ]
    )


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a fairseq checkpoint to CPU memory.

    Raises:
        CheckpointError: the file is missing, is no checkpoint, holds classes outside the allow-list, or carries
            configuration that fairseq would run as code.
    """
    allow_safe_globals()
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; run the stage that trains it first")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise CheckpointError(
            f"{path}: not a fairseq checkpoint that loads safely ({reason[0] if reason else type(error).__name__}); "
            "expected tensors and plain values only"
        ) from error
    if not isinstance(state, dict) or "model" not in state:
        raise CheckpointError(f"{path}: expected a fairseq checkpoint with the key `model`, got {type(state).__name__}")
    check_configuration(state.get("cfg") or {}, path=path)
    if isinstance(state.get("args"), argparse.Namespace):
        check_configuration(vars(state["args"]), path=path)
    return state


def check_configuration(config: Any, *, path: Path) -> None:  # noqa: ANN401  fairseq's configuration has no one type
    """Refuse a configuration with a string that fairseq would evaluate and that is not a plain literal.

    Raises:
        CheckpointError: such a string, by name.
    """
    for name, value in _strings(config):
        try:
            if name.startswith("conv_") and name.endswith("_layers"):
                parse_conv_layers(value)
            elif name in EVALUATED:
                ast.literal_eval(value)
        except (CheckpointError, ValueError, SyntaxError, MemoryError, RecursionError):
            raise CheckpointError(
                f"{path}: configuration `{name}` would be run as code: {value[:80]!r}; expected a literal such as "
                "`[(512,10,5)] + [(512,3,2)] * 4`; do not load this file with fairseq"
            ) from None


def _strings(config: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Every string in a nested configuration with the nearest name above it."""
    if isinstance(config, omegaconf.DictConfig | omegaconf.ListConfig):
        config = omegaconf.OmegaConf.to_container(config, resolve=False)
    pending: list[tuple[str, Any]] = [("", config)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, omegaconf.DictConfig | omegaconf.ListConfig):
            value = omegaconf.OmegaConf.to_container(value, resolve=False)
        if isinstance(value, argparse.Namespace):
            value = vars(value)
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, Mapping):
            pending += [(str(key), inner) for key, inner in value.items()]
        elif isinstance(value, Sequence):
            pending += [(name, inner) for inner in value]


def parse_conv_layers(text: str) -> ConvLayers:
    """Read `[(96,20,10)] + [(96,3,2)]*3` as a list of (channels, kernel, stride), without evaluating it.

    Raises:
        CheckpointError: anything but sums of lists of integer triples, each optionally repeated.
    """
    layers: ConvLayers = []
    position = 0
    while True:
        match = CONV_TERM.match(text, position)
        if match is None:
            raise CheckpointError(
                f"conv_feature_layers: expected `[(channels,kernel,stride)] * n + …`, got {text[:80]!r}"
            )
        triples = [(int(c), int(k), int(s)) for c, k, s in CONV_LAYER.findall(match[1])]
        times = int(match[2] or 1)
        if times * len(triples) + len(layers) > MOST_CONV_LAYERS:
            raise CheckpointError(f"conv_feature_layers: expected at most {MOST_CONV_LAYERS} layers, got {text[:80]!r}")
        layers += triples * times
        position = match.end()
        if position == len(text):
            return layers
        if text[position] != "+":
            raise CheckpointError(f"conv_feature_layers: expected `+` at {position}, got {text[:80]!r}")
        position += 1
