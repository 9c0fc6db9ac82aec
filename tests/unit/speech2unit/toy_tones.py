"""A corpus of tones whose pitch is the label, and a HuBERT small enough to learn it in seconds."""

from pathlib import Path
from typing import Any

import numpy as np

from tongyeok.base.audio import PackWriter
from tongyeok.base.manifests import Manifest, write_manifest

CLUSTERS = 8
TINY: dict[str, Any] = {
    "previous": 0,
    "conv_layers": [[8, 20, 10], [8, 3, 2], [8, 3, 2], [8, 3, 2], [8, 2, 2], [12, 2, 2]],
    "layers": 2,
    "width": 16,
    "ffn": 32,
    "heads": 2,
    "final_width": 8,
    "position_kernel": 8,
    "position_groups": 4,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "input_dropout": 0.1,
    "layer_drop": 0.2,
    "mask_prob": 0.5,
    "mask_length": 5,
    "unmasked_weight": 0.5,
    "feature_penalty": 10.0,
    "feature_grad_scale": 0.5,
    "updates": 8,
    "optimizer": "adam",
    "lr": 2e-3,
    "lr_audio_s": 4.0,
    "audio_s_per_update": 8.0,
    "batch_audio_s": 4.0,
    "warmup_share": 0.1,
    "clip_norm": 10.0,
    "weight_decay": 0.01,
    "shortest_s": 0.5,
    "longest_s": 1.2,
    "products": "float32",
    "on_divergence": "stop",
    "validate_updates": 3,
    "report_updates": 1,
    "loader_workers": 0,
    "seed": 1,
}


def build(root: Path) -> None:
    """Write `corpus/`, `manifest/` and `labels/` into `root`."""
    generator = np.random.default_rng(0)
    for split, clips in (("train", 14), ("valid", 3)):
        utts, locations, samples, lines = [], [], [], []
        with PackWriter(root / "corpus" / f"{split}.zip") as pack:
            for number in range(clips):
                count = int(generator.integers(9_000, 24_000))
                frames = 1 + (count - 400) // 160
                labels = np.repeat(generator.integers(0, CLUSTERS, frames // 10 + 1), 10)[:frames]
                pitch = np.repeat(200.0 + 150 * labels, 160)
                pitch = np.append(pitch, np.full(count - pitch.size, pitch[-1]))
                wave = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) + 0.01 * generator.standard_normal(count)
                utts.append(f"{split}{number}")
                locations.append(pack.add(utts[-1], wave.astype(np.float32)))
                samples.append(count)
                lines.append(" ".join(map(str, labels)))
        manifest = Manifest(root=root / "corpus", utts=tuple(utts), locations=tuple(locations), samples=tuple(samples))
        write_manifest(root / "manifest", split, manifest)
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{split}.km").write_text("\n".join(lines) + "\n")
    (root / "labels" / "dict.km.txt").write_text("".join(f"{label} 1\n" for label in range(CLUSTERS)))
