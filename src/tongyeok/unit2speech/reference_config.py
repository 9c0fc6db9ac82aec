"""The JSON that describes a unit HiFi-GAN to speech-resynthesis, AV2AV and fairseq, and the section `vocoder`.

Every key is taken, checked or known to have no place here; others are refused, since their effect would be lost.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tongyeok import config
from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP, UNIT_RATE
from tongyeok.errors import ConfigError
from tongyeok.unit2speech.durations import HIDDEN_CHANNELS, KERNEL
from tongyeok.unit2speech.generator import CONDITION_CHANNELS, UNIT_CHANNELS
from tongyeok.unit2speech.hifigan import HifiganConfig, refuse_other_hops
from tongyeok.unit2speech.speaker_encoder import DVECTOR
from tongyeok.unit2speech.training import BETAS
from tongyeok.unit2speech.vocoder import VocoderConfig

FIXED = {  # what this project has only one of; a JSON that lacks a key agrees
    "resblock": "1",
    "sampling_rate": SAMPLE_RATE,
    "code_hop_size": UNIT_HOP,
    "f0": False,
    "embedding_dim": UNIT_CHANNELS,
    "embedder_dim": DVECTOR,
    "adam_b1": BETAS[0],
    "adam_b2": BETAS[1],
}
FIXED_DURATIONS = {
    "encoder_embed_dim": UNIT_CHANNELS,
    "var_pred_hidden_dim": HIDDEN_CHANNELS,
    "var_pred_kernel_size": KERNEL,
}
GENERATOR = {
    "upsample_rates": "upsample_rates",
    "upsample_kernel_sizes": "upsample_kernels",
    "upsample_initial_channel": "initial_channels",
    "resblock_kernel_sizes": "resblock_kernels",
    "resblock_dilation_sizes": "resblock_dilations",
}
MEL = {
    "num_mels": "bands",
    "n_fft": "fft_samples",
    "win_size": "window_samples",
    "hop_size": "hop_samples",
    "fmin": "low_hz",
    "fmax": "high_hz",
    "fmax_for_loss": "high_hz",  # comes after `fmax`: the mel loss is all that has a mel here
}
TRAINING = {"batch_size": "batch_segments", "learning_rate": "learning_rate", "seed": "seed"}
ELSEWHERE = {
    *("num_embeddings", "model_in_dim"),  # follow from the units, and from always having a speaker
    *("multispkr", "embedder_params", "num_speakers"),  # every vocoder here speaks in the voice of a d-vector
    "dur_prediction_weight",  # durations are trained after the generator, by themselves
    *("num_freq", "num_gpus", "num_workers", "dist_config"),
    *("input_training_file", "input_validation_file"),  # stages `manifest` and `units`
    "tongyeok",  # ours: the language and the codebook of an exported generator
}
OTHERS = {"lr_decay", "segment_size", "dur_predictor_params", "hop_length"}


def read_reference(path: Path, *, rest: VocoderConfig) -> VocoderConfig:
    """The section `vocoder` that a JSON for fairseq or speech-resynthesis asks for.

    Args:
        path: the JSON.
        rest: gives what the JSON does not speak of, such as the number of updates; it has `adversarial`.

    Raises:
        ConfigError: no such file or not JSON, a key that has no meaning here, or a value that cannot work.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected the JSON of a unit HiFi-GAN, got {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return section_of(values, rest=rest, where=str(path))


def section_of(values: Mapping[str, Any], *, rest: VocoderConfig, where: str) -> VocoderConfig:
    """As `read_reference`, from the values; `where` names them in messages."""
    _check(values, where=where)
    section: dict[str, Any] = json.loads(json.dumps(asdict(rest)))
    if section["generator"]["head"] != "hifigan" or section["adversarial"] is None:
        raise ConfigError(f"{where}: expected a HiFi-GAN section to fill, got head {rest.generator.head}; take `paper`")
    generator, adversarial = section["generator"], section["adversarial"]
    generator |= {ours: values[key] for key, ours in GENERATOR.items() if key in values}
    for key, ours in MEL.items():
        if key in values:
            top = values[key] is None and ours == "high_hz"
            adversarial["mel"][ours] = SAMPLE_RATE / 2 if top else values[key]
    section |= {ours: values[key] for key, ours in TRAINING.items() if key in values}
    if "learning_rate" in values:
        section["duration_learning_rate"] = values["learning_rate"]  # there, one optimiser has both
    if "lr_decay" in values:
        adversarial["learning_rate_decay"] = values["lr_decay"]
    if "segment_size" in values:
        section["segment_frames"] = values["segment_size"] // UNIT_HOP
    if "var_pred_dropout" in values.get("dur_predictor_params", {}):
        generator["duration_dropout"] = values["dur_predictor_params"]["var_pred_dropout"]
    return config.build(VocoderConfig, section, where=where)


def _check(values: Mapping[str, Any], *, where: str) -> None:
    known = {*FIXED, *GENERATOR, *MEL, *TRAINING, *ELSEWHERE, *OTHERS}
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: `{key}` has no meaning for this vocoder; remove it")
    rates = values.get("upsample_rates")
    if isinstance(rates, list) and all(isinstance(rate, int) for rate in rates):
        try:
            refuse_other_hops(tuple(rates))
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from None
    if values.get("hop_length", UNIT_HOP) != UNIT_HOP:
        raise ConfigError(
            f"{where}: hop_length: expected {UNIT_HOP}, the samples of one unit ({SAMPLE_RATE} a second over "
            f"{UNIT_RATE} units a second), got {values['hop_length']}, which cannot work with 16 kHz units; remove it "
            "(the hop of the mel loss is `hop_size`)"
        )
    for given, fixed in ((values, FIXED), (values.get("dur_predictor_params", {}), FIXED_DURATIONS)):
        for key, expected in fixed.items():
            if given.get(key, expected) != expected:
                raise ConfigError(f"{where}: {key}: expected {expected!r}, got {given[key]!r}; it is not adjustable")
    if values.get("segment_size", UNIT_HOP) % UNIT_HOP:
        raise ConfigError(
            f"{where}: segment_size: expected a multiple of {UNIT_HOP} samples (one unit), "
            f"got {values['segment_size']}; take {values['segment_size'] // UNIT_HOP * UNIT_HOP}"
        )


def reference_of(cfg: HifiganConfig, *, clusters: int) -> dict[str, Any]:
    """The JSON with which fairseq's `CodeHiFiGANVocoder` builds this generator."""
    dimensions = json.loads(json.dumps(asdict(cfg)))
    return {
        "resblock": FIXED["resblock"],
        **{key: dimensions[ours] for key, ours in GENERATOR.items()},
        "num_embeddings": clusters,
        "embedding_dim": UNIT_CHANNELS,
        "model_in_dim": CONDITION_CHANNELS,
        "multispkr": True,
        "embedder_params": True,
        "embedder_dim": DVECTOR,
        "code_hop_size": UNIT_HOP,
        "f0": False,
        "sampling_rate": SAMPLE_RATE,
        "dur_prediction_weight": 1.0,
        "dur_predictor_params": {**FIXED_DURATIONS, "var_pred_dropout": cfg.duration_dropout},
    }
