"""HuBERT with a projection to letters: fairseq's `HubertCtc`, its state-dict keys and its forward pass.

fairseq's own cannot be built here: its configuration lacks the field `autoregressive` that its encoder reads, and it
asks for the pre-training's label dictionary. This one is built from the pre-trained model's configuration alone, which
travels in the checkpoint as `w2v_args`, so that a finished model needs no other file.
"""

# ruff: noqa: ANN401  fairseq is untyped

import json
import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fairseq.data.data_utils import compute_mask_indices
from fairseq.models import FairseqEncoder, register_model
from fairseq.models.hubert.hubert import HubertConfig
from fairseq.models.hubert.hubert_asr import HubertCtc, HubertCtcConfig, HubertEncoder
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig
from jaxtyping import Bool, Float
from omegaconf import OmegaConf
from torch import Tensor

from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP
from tongyeok.base.products import autocast
from tongyeok.errors import CheckpointError
from tongyeok_fairseq.hubert_model import TongyeokHubertModel
from tongyeok_fairseq.safety import load_checkpoint, parse_conv_layers

NAME = "tongyeok_recognizer"


@dataclass
class TongyeokRecognizerConfig(HubertCtcConfig):  # type: ignore[misc]
    """fairseq's configuration and the number format of products in training."""

    products: str = field(default="float32", metadata={"help": "float32 or bfloat16; float32 outside training"})


class FineTunedHubert(TongyeokHubertModel):
    """A HuBERT that also masks spans of channels, drawn from torch's generator like the spans of frames."""

    channel_prob: float = 0.0
    channel_length: int = 1

    def apply_mask(
        self,
        x: Float[Tensor, "batch frames width"],
        padding_mask: Bool[Tensor, "batch frames"] | None,
        target_list: list[Tensor] | None,
    ) -> tuple[Float[Tensor, "batch frames width"], Bool[Tensor, "batch frames"] | None]:
        """Replace spans of frames by the mask embedding and spans of channels by 0."""
        x, mask = super().apply_mask(x, padding_mask, target_list)
        if self.channel_prob > 0:
            spans = compute_mask_indices(
                (x.size(0), x.size(2)),
                None,
                self.channel_prob,
                self.channel_length,
                require_same_masks=False,
                seed=int(torch.randint(2**31, ())),
                epoch=0,
                indices=torch.arange(x.size(0)),
            )
            x = x.masked_fill(torch.from_numpy(spans).to(x.device).unsqueeze(1), 0.0)
        return x, mask

    def forward(self, source: Float[Tensor, "batch samples"], **options: Any) -> dict[str, Any]:
        """The pre-trained model's forward pass; in training its products have their configured format."""
        with autocast(source.device, self.products if self.training else "float32"):
            output = super().forward(source, **options)
        return output | {"x": output["x"].float()}


class RecognizerEncoder(HubertEncoder):  # type: ignore[misc]
    """fairseq's encoder with a constructor that needs the pre-trained model's configuration, not its task."""

    def __init__(self, cfg: TongyeokRecognizerConfig, letters: int) -> None:
        FairseqEncoder.__init__(self, None)
        hubert, width = _hubert(cfg)
        self.apply_mask = cfg.apply_mask
        self.w2v_model = hubert
        self.final_dropout = torch.nn.Dropout(cfg.final_dropout)
        self.freeze_finetune_updates = cfg.freeze_finetune_updates
        self.num_updates = 0
        self.proj = torch.nn.Linear(width, letters)
        torch.nn.init.xavier_uniform_(self.proj.weight)
        torch.nn.init.zeros_(self.proj.bias)


@register_model(NAME, dataclass=TongyeokRecognizerConfig)
class TongyeokRecognizer(HubertCtc):  # type: ignore[misc]
    """fairseq's model around that encoder."""

    @classmethod
    def build_model(cls, cfg: TongyeokRecognizerConfig, task: Any) -> "TongyeokRecognizer":
        """Build a model for a task with a target dictionary; weights come from `w2v_path` unless it says otherwise."""
        encoder = RecognizerEncoder(cfg, len(task.target_dictionary))
        if not cfg.no_pretrained_weights:
            weights = load_checkpoint(Path(cfg.w2v_path))["model"]
            wanted = encoder.w2v_model.state_dict()
            encoder.w2v_model.load_state_dict({key: weights[key].float() for key in wanted})
        return cls(cfg, encoder)


def configuration(checkpoint: Path) -> dict[str, Any]:
    """What a recogniser must know of the HuBERT that it starts from, as plain values: sections `model` and `task`.

    Raises:
        CheckpointError: not a HuBERT, unsafe, lacking parameters, or with another hop than 320 samples.
    """
    state = load_checkpoint(checkpoint)
    stored = state.get("cfg") or {}
    plain = OmegaConf.to_container(stored, resolve=True) if OmegaConf.is_config(stored) else stored
    model, task = dict(plain.get("model") or {}), dict(plain.get("task") or {})
    if "conv_feature_layers" not in model or "encoder_embed_dim" not in model:
        raise CheckpointError(
            f"{checkpoint}: expected a HuBERT checkpoint of fairseq, got model {model.get('_name')!r}"
        )
    hop = math.prod(stride for _, _, stride in parse_conv_layers(model["conv_feature_layers"]))
    if hop != UNIT_HOP:
        raise CheckpointError(f"{checkpoint}: expected a hop of {UNIT_HOP} samples, its convolutions have {hop}")
    known = {key: value for key, value in model.items() if key in HubertConfig.__dataclass_fields__}
    known |= {"_name": "hubert", "label_rate": 50.0}
    found = {"model": known, "task": {"normalize": bool(task.get("normalize", False)), "sample_rate": SAMPLE_RATE}}
    found = json.loads(json.dumps(found))
    hubert, _ = _hubert(TongyeokRecognizerConfig(w2v_path="", w2v_args=found))
    missing = sorted(set(hubert.state_dict()) - set(state["model"]))
    if missing:
        raise CheckpointError(f"{checkpoint}: parameters of a HuBERT are missing: {', '.join(missing[:3])}")
    return found


def _hubert(cfg: TongyeokRecognizerConfig) -> tuple[FineTunedHubert, int]:
    """The HuBERT inside, with fine-tuning's dropouts and masks in place of pre-training's; and its width."""
    values = dict(cfg.w2v_args["model"]) | {
        "dropout": cfg.dropout,
        "activation_dropout": cfg.activation_dropout,
        "attention_dropout": cfg.attention_dropout,
        "dropout_input": cfg.dropout_input,
        "encoder_layerdrop": cfg.layerdrop,
        "feature_grad_mult": cfg.feature_grad_mult,
        "mask_prob": cfg.mask_prob,
        "mask_length": cfg.mask_length,
        "mask_channel_prob": 0.0,
    }
    parse_conv_layers(values["conv_feature_layers"])
    made = OmegaConf.merge(OmegaConf.structured(HubertConfig), values)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        model = FineTunedHubert(made, HubertPretrainingConfig(sample_rate=SAMPLE_RATE), [None])
    model.remove_pretraining_modules()
    model.products = cfg.products
    model.channel_prob, model.channel_length = cfg.mask_channel_prob, cfg.mask_channel_length
    return model, int(made.encoder_embed_dim)
