"""A corpus of tones in which every letter has a pitch of its own, and a HuBERT with random weights."""

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tongyeok.base.audio import PackWriter
from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.base.utterances import Utterance, write_utterances
from tongyeok.recognizer.letters import spell

ALPHABET = {"en": "abcdefgh", "ko": "가나다라각"}
SPLITS = {"train": 40, "valid": 8, "test": 4}
LETTER_SAMPLES = 1600  # a tenth of a second
HUBERT: dict[str, Any] = {
    "_name": "hubert",
    "label_rate": 100.0,
    "conv_feature_layers": "[(16,20,10)] + [(16,3,2)] * 3 + [(16,2,2)] + [(32,2,2)]",
    "encoder_layers": 1,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 64,
    "encoder_attention_heads": 2,
    "final_dim": 8,
    "conv_pos": 8,
    "conv_pos_groups": 4,
    "untie_final_proj": True,
    "feature_grad_mult": 0.1,
}
VALUES: dict[str, Any] = {
    "languages": ["en", "ko"],
    "hangul": "jamo",
    "dropout": 0.05,
    "activation_dropout": 0.1,
    "final_dropout": 0.1,
    "layer_drop": 0.1,
    "mask_prob": 0.1,
    "mask_length": 2,
    "channel_mask_prob": 0.1,
    "channel_mask_share": 0.1,
    "freeze_share": 0.0,
    "feature_grad_scale": 1.0,
    "updates": 8,
    "lr": 3e-3,
    "audio_s_per_update": 16.0,
    "batch_audio_s": 8.0,
    "warmup_share": 0.1,
    "hold_share": 0.4,
    "final_lr_scale": 0.05,
    "clip_norm": 10.0,
    "weight_decay": 0.0,
    "shortest_s": 0.3,
    "longest_s": 4.0,
    "products": "float32",
    "validate_updates": 3,
    "report_updates": 1,
    "loader_workers": 0,
    "seed": 1,
}


def say(text: str, *, generator: np.random.Generator) -> np.ndarray:
    """A tone for each jamo or letter of a text, silence for a space."""
    parts = []
    for symbol in spell(text, hangul="jamo"):
        pitch = 0.0 if symbol == "|" else 250.0 * (1 + ord(symbol) % 29 % 13)
        time = np.arange(LETTER_SAMPLES) / 16_000
        parts.append(0.3 * np.sin(2 * np.pi * pitch * time) * np.hanning(LETTER_SAMPLES))
    wave = np.concatenate(parts)
    return (wave + 0.005 * generator.standard_normal(wave.size)).astype(np.float32)


def build(root: Path, *, texts: dict[str, str] | None = None, shared: Sequence[str] = ()) -> Path:
    """Write `corpus/`, `manifest/` and `hubert/` below `root`.

    Args:
        root: the folder.
        texts: what stands in the table in place of what is said, by utterance.
        shared: utterances of other splits that are put into the training split's first group.
    """
    generator = np.random.default_rng(0)
    utterances, rows = [], {split: [] for split in SPLITS}
    number = 0
    for split, count in SPLITS.items():
        with PackWriter(root / "corpus" / f"{split}.zip") as pack:
            for _ in range(count):
                for lang, alphabet in ALPHABET.items():
                    utt = f"g{number}_{lang}"
                    words = ["".join(generator.choice(list(alphabet), 3)) for _ in range(2)]
                    samples = say(" ".join(words), generator=generator)
                    row = Utterance(
                        utt=utt,
                        group="g0" if utt in shared else f"g{number}",
                        lang=lang,
                        split=split,
                        speaker="s",
                        text=(texts or {}).get(utt, " ".join(words)),
                        audio=pack.add(utt, samples),
                        samples=samples.size,
                    )
                    utterances.append(row)
                    rows[split].append(row)
                number += 1
    write_utterances(root / "corpus", utterances)
    for split, found in rows.items():
        content = Manifest(
            root=root / "corpus",
            utts=tuple(row.utt for row in found),
            locations=tuple(row.audio for row in found),
            samples=tuple(row.samples for row in found),
        )
        write_manifest(root / "manifest", split, content)
    (root / "hubert").mkdir()
    write_hubert(root / "hubert" / "checkpoint.pt")
    return root


def write_hubert(path: Path) -> None:
    """A fairseq HuBERT checkpoint with random weights."""
    import_module("tongyeok_fairseq")  # quietens fairseq
    from fairseq.models.hubert.hubert import HubertConfig, HubertModel
    from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig
    from omegaconf import OmegaConf

    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = HubertModel(
            OmegaConf.merge(OmegaConf.structured(HubertConfig), HUBERT), HubertPretrainingConfig(), [range(12)]
        )
    state = {"cfg": {"model": HUBERT, "task": {"normalize": False, "sample_rate": 16_000}}, "model": model.state_dict()}
    torch.save(state, path)
