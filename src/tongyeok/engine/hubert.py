"""The door to HuBERT's pre-training: a configuration and folders in, a finished checkpoint and its curves out."""

import math
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP, UNIT_RATE
from tongyeok.base.division import divide
from tongyeok.base.manifests import absolute_manifest
from tongyeok.base.products import Products
from tongyeok.base.stage import OnMetrics
from tongyeok.base.team import here
from tongyeok.config import section

LABELS = "km"  # suffix of label files, as fairseq's simple_kmeans writes them


@section
class HubertConfig:
    """One iteration of section `hubert`; base: HuBERT (Hsu et al. 2021) sec. IV, fairseq's hubert_base_librispeech."""

    previous: int  # labels trained on: of iteration 0 (MFCC) for the first, of the one before after that
    conv_layers: tuple[
        tuple[int, int, int], ...
    ]  # (channels, kernel, stride) from 16 kHz samples to 50 frames a second
    layers: int  # Transformer layers; base: 12
    width: int  # of the Transformer; base: 768
    ffn: int  # inner width of the feed-forward layers; base: 3072
    heads: int  # attention heads; base: 12
    final_width: int  # of projections and label embeddings; base: 256
    position_kernel: int  # frames of the positional convolution; base: 128
    position_groups: int  # its groups; base: 16
    dropout: float  # Transformer; base: 0.1
    attention_dropout: float  # base: 0.1
    input_dropout: float  # after the convolutions; base: 0.1
    layer_drop: float  # probability of leaving a layer out; base: 0.05
    mask_prob: float  # share of frames that spans start to cover, overlaps counted twice; base: 0.80
    mask_length: int  # frames of one masked span; base: 10
    unmasked_weight: float  # weight of the loss over unmasked frames; base: 0, cheap here and a help to short trainings
    feature_penalty: float  # weight of the mean squared convolution output; base: 10
    feature_grad_scale: float  # scale of the gradient into the convolutions; base: 0.1
    updates: int  # optimizer steps; base: 250k, then 400k
    optimizer: Literal["adam", "muon"]  # muon: for the matrices of the layers, Adam for the rest; base: adam
    lr: float  # peak learning rate at `lr_audio_s` of audio per update; base: 5e-4
    lr_audio_s: float  # s; other amounts of audio per update scale `lr` by the square root; base: 2800
    audio_s_per_update: float  # s; gradients accumulate up to it; base: 2800 (32 GPUs x 87.5 s)
    batch_audio_s: float  # s, padding counted; one forward pass; bounded by memory; base: 87.5
    warmup_share: float  # of the updates, then linear decay to 0; base: 0.08
    clip_norm: float  # of the gradient; base: 10
    weight_decay: float  # base: 0.01
    shortest_s: float  # s; shorter clips are left out of training; base: 2.0
    longest_s: float  # s; longer clips are cropped at random; base: 15.6
    products: Products  # of matrices and convolutions in training; bfloat16 is faster where the processor has it
    on_divergence: Literal["stop", "lower_lr"]  # when the loss jumps and stays: stop, or go back and halve lr
    validate_updates: int  # updates between validations, each with a saved state to resume from
    report_updates: int  # updates between points of the training curve
    loader_workers: int  # processes that read audio; 0: the training process itself
    seed: int

    def __post_init__(self) -> None:
        """Check the rules."""
        hop = math.prod(stride for _, _, stride in self.conv_layers)
        if hop != UNIT_HOP:
            raise ValueError(
                f"conv_layers: strides must multiply to {UNIT_HOP} samples (50 frames a second at 16 kHz), got {hop}"
            )
        if self.width % self.heads:
            raise ValueError(f"heads: must divide width {self.width}, got {self.heads}")
        if self.width % self.position_groups:
            raise ValueError(f"position_groups: must divide width {self.width}, got {self.position_groups}")
        self._check_ranges()
        self._check_masks_fit()

    def _check_ranges(self) -> None:
        for name in ("layers", "updates", "validate_updates", "report_updates", "mask_length", "lr", "lr_audio_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("mask_prob", "dropout", "attention_dropout", "input_dropout", "layer_drop", "warmup_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 0 <= value < 1, got {getattr(self, name)}")
        if self.validate_updates % self.report_updates:
            raise ValueError(
                f"validate_updates: must be a multiple of report_updates {self.report_updates}, "
                f"got {self.validate_updates}"
            )

    def _check_masks_fit(self) -> None:
        needed = round(self.mask_length / (1 - self.mask_prob) / UNIT_RATE, 6)
        if self.shortest_s < needed:
            raise ValueError(
                f"shortest_s: masks could cover a whole clip; expected at least mask_length / (1 - mask_prob) = "
                f"{needed:.2f} s, got {self.shortest_s}"
            )
        if self.longest_s <= self.shortest_s or self.batch_audio_s < self.longest_s:
            raise ValueError(
                f"longest_s: expected shortest_s {self.shortest_s} < longest_s <= batch_audio_s {self.batch_audio_s}, "
                f"got {self.longest_s}"
            )

    @property
    def batches_per_update(self) -> int:
        """Forward passes whose gradients are summed for one update."""
        return max(1, round(self.audio_s_per_update / self.batch_audio_s))

    @property
    def peak_lr(self) -> float:
        """Peak learning rate for the audio that an update really takes."""
        return self.lr * math.sqrt(self.batches_per_update * self.batch_audio_s / self.lr_audio_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedHubert:
    """The last state of a training, and its curves: one mapping per reported update, with `step`."""

    checkpoint: Path
    curves: list[dict[str, float]]


def train(
    cfg: HubertConfig,
    *,
    manifest: Path,
    labels: Path,
    label_rate: int,
    scratch: Path,
    on_metrics: OnMetrics,
) -> TrainedHubert:
    """Pre-train a HuBERT with fairseq, going on from `scratch` where an earlier run was interrupted.

    The processes of a team (`tongyeok.base.team`) share the batches of every update.

    Args:
        cfg: the iteration's section.
        manifest: folder with `train` and `valid`.
        labels: folder with `train.km`, `valid.km` and `dict.km.txt`.
        label_rate: labels a second, 100 for MFCC and 50 for HuBERT features.
        scratch: private folder for resumable state.
        on_metrics: receives curves as they grow.

    Raises:
        ConfigError: the processes cannot share an update's batches equally.
        TrainingError: the training diverged or crashed.
    """
    team = here()
    division = divide(
        "hubert",
        team.size,
        batches=cfg.batches_per_update,
        size=cfg.batch_audio_s,
        unit="s of audio",
        learning_rate=cfg.peak_lr,
        remedy=lambda batches: f"hubert.<i>.batch_audio_s={cfg.audio_s_per_update / batches:g}",
    )
    data = scratch / "data"

    def locate() -> None:
        for split in ("train", "valid"):
            absolute_manifest(manifest, split, data / f"{split}.tsv")

    team.once(locate)
    import_module("tongyeok_fairseq")
    room: Any = import_module("tongyeok_fairseq.training")
    trained = room.train(
        fairseq_config(cfg, data=data, labels=labels, label_rate=label_rate),
        scratch=scratch,
        division=division,
        on_metrics=on_metrics,
        lower_lr_on_divergence=cfg.on_divergence == "lower_lr",
    )
    return TrainedHubert(checkpoint=trained.last, curves=trained.curves)


def export(checkpoint: Path, target: Path) -> None:
    """Write a trained state as a checkpoint that stock fairseq loads, without optimizer state; bytes repeat."""
    room: Any = import_module("tongyeok_fairseq.hubert_export")
    room.export(checkpoint, target)


def fairseq_config(cfg: HubertConfig, *, data: Path, labels: Path, label_rate: int) -> dict[str, dict[str, Any]]:
    """The section in fairseq's words."""
    return {
        "common": {"seed": cfg.seed, "log_interval": cfg.report_updates},
        "task": {
            "_name": "tongyeok_hubert_pretraining",
            "data": str(data.resolve()),
            "label_dir": str(labels.resolve()),
            "labels": [LABELS],
            "label_rate": float(label_rate),
            "pad_audio": True,
            "random_crop": True,
            "min_sample_size": round(cfg.shortest_s * SAMPLE_RATE),
            "max_sample_size": round(cfg.longest_s * SAMPLE_RATE),
        },
        "model": {
            "_name": "tongyeok_hubert",
            "conv_feature_layers": str([tuple(layer) for layer in cfg.conv_layers]),
            "encoder_layers": cfg.layers,
            "encoder_embed_dim": cfg.width,
            "encoder_ffn_embed_dim": cfg.ffn,
            "encoder_attention_heads": cfg.heads,
            "final_dim": cfg.final_width,
            "conv_pos": cfg.position_kernel,
            "conv_pos_groups": cfg.position_groups,
            "dropout": cfg.dropout,
            "attention_dropout": cfg.attention_dropout,
            "dropout_input": cfg.input_dropout,
            "encoder_layerdrop": cfg.layer_drop,
            "mask_prob": cfg.mask_prob,
            "mask_length": cfg.mask_length,
            "feature_grad_mult": cfg.feature_grad_scale,
            "untie_final_proj": True,
            "skip_nomask": cfg.unmasked_weight == 0,
            "products": cfg.products,
        },
        "criterion": {
            "_name": "tongyeok_hubert",
            "pred_masked_weight": 1.0,
            "pred_nomask_weight": cfg.unmasked_weight,
            "loss_weights": [cfg.feature_penalty],
        },
        "optimizer": {
            "_name": "tongyeok_muon" if cfg.optimizer == "muon" else "adam",
            "adam_betas": "(0.9, 0.98)",
            "adam_eps": 1e-6,
            "weight_decay": cfg.weight_decay,
        },
        "lr_scheduler": {"_name": "polynomial_decay", "warmup_updates": round(cfg.warmup_share * cfg.updates)},
        "optimization": {
            "max_update": cfg.updates,
            "lr": [cfg.peak_lr],
            "clip_norm": cfg.clip_norm,
            "update_freq": [cfg.batches_per_update],
        },
        "dataset": {
            "max_tokens": round(cfg.batch_audio_s * SAMPLE_RATE),
            "num_workers": cfg.loader_workers,
            "fixed_validation_seed": cfg.seed,
        },
        "checkpoint": {"save_interval_updates": cfg.validate_updates},
    }
