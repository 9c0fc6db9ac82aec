"""The door to the recogniser: fine-tune a HuBERT with CTC, and hear with the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch

from tongyeok.base.audio import SAMPLE_RATE, UNIT_RATE, Samples
from tongyeok.base.division import divide
from tongyeok.base.products import Products
from tongyeok.base.stage import OnMetrics
from tongyeok.base.team import here
from tongyeok.config import section
from tongyeok.engine.threads import one_thread_each

LABELS = "ltr"  # suffix of label files, as wav2vec and HuBERT are fine-tuned on


@section
class RecognizerConfig:
    """Section `recognizer`; base: fairseq's hubert/config/finetune/base_10h, the guide's fine-tuning step."""

    languages: tuple[str, ...]  # ISO 639 codes whose training recordings teach it; one dictionary over all of them
    hangul: Literal["jamo", "syllables"]  # what a letter of Korean is: far fewer jamo exist, syllables are shorter
    dropout: float  # inside the Transformer; base: 0
    activation_dropout: float  # between its feed-forward layers; base: 0.1
    final_dropout: float  # before the projection to letters; base: 0
    layer_drop: float  # probability of leaving a layer out; base: 0.1
    mask_prob: float  # share of frames that spans start to cover, overlaps counted twice; base: 0.75
    mask_length: int  # frames of one masked span; base: 10
    channel_mask_prob: float  # the same for channels; base: 0.5
    channel_mask_share: float  # of the model's width that one span of channels covers; base: 64 of 768
    freeze_share: float  # of the updates in which only the projection learns; base: 0.4
    feature_grad_scale: float  # scale of the gradient into the convolutions; base: 0, which freezes them
    updates: int  # optimizer steps; base: 25k
    lr: float  # peak learning rate; base: 2e-5
    audio_s_per_update: float  # s; gradients accumulate up to it; base: 1600 (8 GPUs x 200 s)
    batch_audio_s: float  # s, padding counted; one forward pass; bounded by memory; base: 200
    warmup_share: float  # of the updates; base: 0.32
    hold_share: float  # of the updates at the peak; the rest decays exponentially; base: 0
    final_lr_scale: float  # of the peak, after the last update; base: 0.05 after 80k updates
    clip_norm: float  # of the gradient; base: 0, which never clips
    weight_decay: float  # base: 0
    shortest_s: float  # s; shorter clips are left out of training
    longest_s: float  # s; longer clips are left out of training: a cropped one no longer says its text
    products: Products  # of matrices and convolutions in training; bfloat16 is faster where the processor has it
    validate_updates: int  # updates between validations, each with a saved state to resume from
    report_updates: int  # updates between points of the training curve
    loader_workers: int  # processes that read audio; 0: the training process itself
    seed: int

    def __post_init__(self) -> None:
        """Check the rules."""
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(f"languages: expected at least one language, each once, got {list(self.languages)}")
        for name in ("updates", "validate_updates", "report_updates", "mask_length", "lr", "shortest_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        shares = ("dropout", "activation_dropout", "final_dropout", "layer_drop", "mask_prob", "channel_mask_prob")
        for name in (*shares, "freeze_share", "warmup_share", "hold_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 0 <= value < 1, got {getattr(self, name)}")
        self._check_schedule()
        if not self.shortest_s < self.longest_s <= self.batch_audio_s:
            raise ValueError(
                f"longest_s: expected shortest_s {self.shortest_s} < longest_s <= batch_audio_s {self.batch_audio_s}, "
                f"got {self.longest_s}"
            )

    def _check_schedule(self) -> None:
        if not 0 < self.channel_mask_share <= 0.5:  # noqa: PLR2004  fairseq draws spans that must fit with room to spare
            raise ValueError(f"channel_mask_share: expected 0 < value <= 0.5, got {self.channel_mask_share}")
        if self.warmup_share + self.hold_share >= 1:
            raise ValueError(f"hold_share: expected warmup_share + hold_share < 1, got {self.hold_share}")
        if not 0 < self.final_lr_scale <= 1:
            raise ValueError(f"final_lr_scale: expected 0 < value <= 1, got {self.final_lr_scale}")
        if self.validate_updates % self.report_updates:
            raise ValueError(
                f"validate_updates: must be a multiple of report_updates {self.report_updates}, "
                f"got {self.validate_updates}"
            )

    @property
    def batches_per_update(self) -> int:
        """Forward passes whose gradients are summed for one update."""
        return max(1, round(self.audio_s_per_update / self.batch_audio_s))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedRecognizer:
    """The state that validated best, and the curves: one mapping per reported update, with `step`."""

    checkpoint: Path
    curves: list[dict[str, float]]


def train(
    cfg: RecognizerConfig, *, hubert: Path, data: Path, scratch: Path, on_metrics: OnMetrics
) -> TrainedRecognizer:
    """Fine-tune a HuBERT with fairseq, going on from `scratch` where an earlier run was interrupted.

    The processes of a team (`tongyeok.base.team`) share the batches of every update.

    Args:
        cfg: the section.
        hubert: checkpoint of a pre-trained fairseq HuBERT.
        data: folder with `{train,valid}.tsv` (absolute root), `{train,valid}.ltr` and `dict.ltr.txt`.
        scratch: private folder for resumable state.
        on_metrics: receives curves as they grow.

    Raises:
        CheckpointError: `hubert` is no such checkpoint, or unsafe.
        ConfigError: the processes cannot share an update's batches equally.
        TrainingError: the training diverged or crashed.
    """
    division = divide(
        "recognizer",
        here().size,
        batches=cfg.batches_per_update,
        size=cfg.batch_audio_s,
        unit="s of audio",
        learning_rate=cfg.lr,
        remedy=lambda batches: f"recognizer.batch_audio_s={cfg.audio_s_per_update / batches:g}",
    )
    import_module("tongyeok_fairseq")
    model: Any = import_module("tongyeok_fairseq.recognizer_model")
    import_module("tongyeok_fairseq.recognizer_task")
    room: Any = import_module("tongyeok_fairseq.training")
    trained = room.train(
        fairseq_config(cfg, hubert=hubert, pretrained=model.configuration(hubert), data=data),
        scratch=scratch,
        division=division,
        on_metrics=on_metrics,
        lower_lr_on_divergence=False,
    )
    return TrainedRecognizer(checkpoint=trained.best, curves=trained.curves)


def export(checkpoint: Path, target: Path) -> None:
    """Write a trained state without optimizer state, times and paths; bytes repeat."""
    room: Any = import_module("tongyeok_fairseq.recognizer_export")
    room.export(checkpoint, target)


class Recognizer:
    """A frozen recogniser: the most likely letter of each frame, repeats and blanks removed (greedy CTC decoding).

    Clips are heard one at a time, without padding. On a CPU each is computed by one thread, several side by side, so
    that what is heard does not depend on the number of threads.

    Args:
        checkpoint: a file of the stage `recognizer`.
        device: `cpu` or `cuda`.

    Raises:
        CheckpointError: the file is missing, unsafe, or no recogniser.
    """

    def __init__(self, checkpoint: Path, *, device: str) -> None:
        import_module("tongyeok_fairseq")
        room: Any = import_module("tongyeok_fairseq.recognizer_decode")
        self._decoder = room.Decoder(checkpoint, device=device)
        self._side_by_side = one_thread_each(torch.get_num_threads() if device == "cpu" else 1)

    def hear(self, clips: Sequence[Samples]) -> list[list[str]]:
        """Symbols of each clip of 16 kHz samples; none for a clip shorter than a frame."""
        return list(self._side_by_side.map(self._decoder.hear, clips))


def fairseq_config(
    cfg: RecognizerConfig, *, hubert: Path, pretrained: dict[str, Any], data: Path
) -> dict[str, dict[str, Any]]:
    """The section in fairseq's words.

    Args:
        cfg: the section.
        hubert: checkpoint whose weights are fine-tuned.
        pretrained: that checkpoint's own configuration, sections `model` and `task`.
        data: folder of manifests, labels and dictionary.
    """
    warmup, hold = round(cfg.warmup_share * cfg.updates), round(cfg.hold_share * cfg.updates)
    return {
        "common": {"seed": cfg.seed, "log_interval": cfg.report_updates},
        "task": {
            "_name": "tongyeok_recognizer",
            "data": str(data.resolve()),
            "label_dir": str(data.resolve()),
            "labels": [LABELS],
            "label_rate": -1.0,
            "fine_tuning": True,
            "single_target": True,
            "pad_audio": True,
            "random_crop": False,
            "normalize": pretrained["task"]["normalize"],
            "min_sample_size": round(cfg.shortest_s * SAMPLE_RATE),
            "max_keep_size": round(cfg.longest_s * SAMPLE_RATE),
        },
        "model": {
            "_name": "tongyeok_recognizer",
            "w2v_path": str(hubert.resolve()),
            "w2v_args": pretrained,
            "apply_mask": cfg.mask_prob > 0,
            "mask_prob": cfg.mask_prob,
            "mask_length": cfg.mask_length,
            "mask_channel_prob": cfg.channel_mask_prob,
            "mask_channel_length": max(1, round(cfg.channel_mask_share * pretrained["model"]["encoder_embed_dim"])),
            "dropout": cfg.dropout,
            "activation_dropout": cfg.activation_dropout,
            "final_dropout": cfg.final_dropout,
            "layerdrop": cfg.layer_drop,
            "feature_grad_mult": cfg.feature_grad_scale,
            "freeze_finetune_updates": round(cfg.freeze_share * cfg.updates),
            "products": cfg.products,
        },
        "criterion": {"_name": "tongyeok_recognizer", "zero_infinity": True},
        "optimizer": {
            "_name": "adam",
            "adam_betas": "(0.9, 0.98)",
            "adam_eps": 1e-8,
            "weight_decay": cfg.weight_decay,
        },
        "lr_scheduler": {
            "_name": "tri_stage",
            "warmup_steps": warmup,
            "hold_steps": hold,
            "decay_steps": cfg.updates - warmup - hold,
            "final_lr_scale": cfg.final_lr_scale,
        },
        "optimization": {
            "max_update": cfg.updates,
            "lr": [cfg.lr],
            "clip_norm": cfg.clip_norm,
            "update_freq": [cfg.batches_per_update],
            "sentence_avg": True,
        },
        "dataset": {
            "max_tokens": round(cfg.batch_audio_s * SAMPLE_RATE),
            "num_workers": cfg.loader_workers,
            "fixed_validation_seed": cfg.seed,
        },
        "checkpoint": {"save_interval_updates": cfg.validate_updates},
    }


def most_letters(samples: int) -> int:
    """Letters that CTC can place in a clip of so many samples: one a frame, a frame lost at the edges."""
    return max(0, samples * UNIT_RATE // SAMPLE_RATE - 1)
