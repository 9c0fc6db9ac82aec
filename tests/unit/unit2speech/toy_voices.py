"""Tones in two languages, one pitch and length a unit, and vocoders small enough to learn them in seconds."""

from pathlib import Path

import numpy as np

from tongyeok.base.audio import PackWriter
from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.base.units import UnitSource, write_units
from tongyeok.base.utterances import Utterance, write_utterances
from tongyeok.unit2speech import vocoder

CFG = {
    "generator": {
        "head": "fourier", "width": 32, "layers": 2, "expansion": 2, "kernel": 3, "fft_samples": 640, "looks": 1,
        "duration_dropout": 0.1,
    },
    "adversarial": None, "segment_frames": 16, "batch_segments": 4, "updates": 24, "learning_rate": 3e-3,
    "warmup_updates": 2, "weight_decay": 0.01, "clip_norm": 10.0, "mel_weight": 1.0, "magnitude_weight": 0.5,
    "duration_updates": 24, "duration_batch": 4, "duration_learning_rate": 3e-3, "products": "bfloat16",
    "validate_every": 8, "valid_utterances": 2, "sample_utterances": 1, "save_every": 10, "seed": 1,
}  # fmt: skip

HIFIGAN = {
    "generator": {
        "head": "hifigan", "upsample_rates": [5, 4, 4, 2, 2], "upsample_kernels": [11, 8, 8, 4, 4],
        "initial_channels": 128, "resblock_kernels": [3], "resblock_dilations": [[1, 3, 5]], "duration_dropout": 0.1,
    },
    "adversarial": {
        "discriminator_shrink": 8, "feature_weight": 2.0, "learning_rate_decay": 0.999,
        "mel": {
            "bands": 80, "fft_samples": 1024, "window_samples": 1024, "hop_samples": 256, "low_hz": 0.0,
            "high_hz": 8000.0,
        },
    },
    "mel_weight": 45.0, "magnitude_weight": 0.0, "clip_norm": None, "warmup_updates": 0, "products": "float32",
    "batch_segments": 2, "learning_rate": 2e-3,
}  # fmt: skip

# Clips of each language. With four to train on, the predictor learns clips by heart (the neighbours give them away)
# instead of what each unit says about its length, and errs by half a frame on others.
TRAIN, VALID = 16, 4


def build(home: Path) -> vocoder.Inputs:
    """Write clips in two languages, each all units in some order; unit u: a tone of 150 (u + 1) Hz for u + 1 frames."""
    random = np.random.default_rng(1)
    source = UnitSource(codebook="c", checkpoint="", clusters=6)
    utterances = []
    for lang in ("en", "ko"):
        units = {}
        with PackWriter(home / "corpus" / f"{lang}-000.zip") as pack:
            for number in range(TRAIN + VALID):
                codes = random.permutation(6)
                sequence = np.repeat(codes, codes + 1).astype(np.int32)
                phase = np.cumsum(2 * np.pi * 150 * (np.repeat(sequence, 320) + 1) / 16_000)
                location = pack.add(f"{lang}{number}", (0.3 * np.sin(phase)).astype(np.float32))
                units[f"{lang}{number}"] = sequence
                utterances.append(
                    Utterance(
                        utt=f"{lang}{number}",
                        group=f"g{number}",
                        lang=lang,
                        split="train" if number < TRAIN else "valid",
                        speaker="s",
                        text="",
                        audio=location,
                        samples=sequence.size * 320,
                    )
                )
        write_units(home / "units" / f"{lang}.tsv", source, units)
    write_utterances(home / "corpus", utterances)
    for split in ("train", "valid"):
        chosen = [utterance for utterance in utterances if utterance.split == split]
        manifest = Manifest(
            root=home / "corpus",
            utts=tuple(utterance.utt for utterance in chosen),
            locations=tuple(utterance.audio for utterance in chosen),
            samples=tuple(utterance.samples for utterance in chosen),
        )
        write_manifest(home / "manifest", split, manifest)
    return vocoder.Inputs(corpus=home / "corpus", manifest=home / "manifest", units=home / "units")
