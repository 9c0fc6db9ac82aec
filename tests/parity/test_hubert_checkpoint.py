"""Stock fairseq trains with this project's user dir from the command line, and loads what the stage `hubert` writes."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from tongyeok.base.audio import PackWriter
from tongyeok.base.manifests import Manifest, absolute_manifest, write_manifest
from tongyeok.base.stage import silent
from tongyeok.engine.features import FeatureReader
from tongyeok.engine.hubert import HubertConfig
from tongyeok.speech2unit import hubert
from tongyeok_fairseq.safety import load_checkpoint

ROOM = Path(__file__).parents[2] / "src" / "tongyeok_fairseq"
CLUSTERS = 6
CONVOLUTIONS = ((8, 20, 10), (8, 3, 2), (8, 3, 2), (8, 3, 2), (8, 2, 2), (12, 2, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of noise with labels: `manifest/`, `labels/`, and absolute manifests in `data/`."""
    root = tmp_path_factory.mktemp("noise")
    generator = np.random.default_rng(0)
    (root / "labels").mkdir()
    for split in ("train", "valid"):
        with PackWriter(root / "corpus" / f"{split}.zip") as pack:
            waves = [0.1 * generator.standard_normal(16_000).astype(np.float32) for _ in range(3)]
            locations = tuple(pack.add(str(number), wave) for number, wave in enumerate(waves))
        manifest = Manifest(root=root / "corpus", utts=("a", "b", "c"), locations=locations, samples=(16_000,) * 3)
        write_manifest(root / "manifest", split, manifest)
        absolute_manifest(root / "manifest", split, root / "data" / f"{split}.tsv")
        lines = [" ".join(map(str, generator.integers(0, CLUSTERS, 98))) for _ in waves]
        (root / "labels" / f"{split}.km").write_text("\n".join(lines) + "\n")
    (root / "labels" / "dict.km.txt").write_text("".join(f"{label} 1\n" for label in range(CLUSTERS)))
    return root


def _model() -> dict[str, object]:
    return {
        "encoder_layers": 1,
        "encoder_embed_dim": 16,
        "encoder_ffn_embed_dim": 16,
        "encoder_attention_heads": 2,
        "final_dim": 8,
        "conv_pos": 8,
        "conv_pos_groups": 4,
        "conv_feature_layers": str(list(CONVOLUTIONS)).replace(" ", ""),
    }


def _fairseq(*arguments: str, folder: Path) -> None:
    """Run one of fairseq's commands, away from the project, without this project on the path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_fairseq_train_takes_the_user_dir(folder: Path) -> None:
    """`fairseq-train --user-dir src/tongyeok_fairseq` trains our task, model and criterion."""
    options = {
        "user-dir": ROOM,
        "task": "tongyeok_hubert_pretraining",
        "label-dir": folder / "labels",
        "labels": "['km']",
        "label-rate": 100,
        "min-sample-size": 8_000,
        "max-sample-size": 16_000,
        "arch": "tongyeok_hubert",
        "criterion": "tongyeok_hubert",
        "optimizer": "adam",
        "lr": "1e-3",
        "max-tokens": 48_000,
        "required-batch-size-multiple": 1,
        "num-workers": 0,
        "save-dir": folder / "cli",
    }
    options |= {name.replace("_", "-"): value for name, value in _model().items()}
    common = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    flags = ["--cpu", "--skip-nomask", "--pad-audio"]
    _fairseq("fairseq_cli.train", str(folder / "data"), *common, *flags, "--max-update", "1", folder=folder)
    assert load_checkpoint(folder / "cli" / "checkpoint_last.pt")["optimizer_history"][-1]["num_updates"] == 1


def test_fairseq_hydra_train_takes_the_user_dir(folder: Path) -> None:
    """`fairseq-hydra-train common.user_dir=src/tongyeok_fairseq` trains the same."""
    settings = [
        f"common.user_dir={ROOM}",
        "common.cpu=true",
        "task=hubert_pretraining",
        "task._name=tongyeok_hubert_pretraining",
        f"task.data={folder / 'data'}",
        f"++task.label_dir={folder / 'labels'}",
        "task.labels=[km]",
        "task.label_rate=100",
        "++task.pad_audio=true",
        "model=hubert",
        "model._name=tongyeok_hubert",
        "criterion=hubert",
        "criterion._name=tongyeok_hubert",
        "optimizer=adam",
        "optimization.lr=[0.001]",
        "optimization.max_update=1",
        "dataset.max_tokens=48000",
        "dataset.required_batch_size_multiple=1",
        "dataset.num_workers=0",
        f"checkpoint.save_dir={folder / 'hydra'}",
    ]
    quoted = {name: f"'{value}'" if isinstance(value, str) else value for name, value in _model().items()}
    _fairseq(
        "fairseq_cli.hydra_train",
        *settings,
        *(f"model.{name}={value}" for name, value in quoted.items()),
        folder=folder,
    )
    assert (folder / "hydra" / "checkpoint_last.pt").is_file()


def test_stock_fairseq_loads_the_stages_checkpoint(folder: Path, tmp_path: Path, record_property: Record) -> None:
    """`load_model_ensemble_and_task` makes fairseq's own HuBERT of it, with the features that our reader gives."""
    cfg = HubertConfig(
        previous=0, conv_layers=CONVOLUTIONS, layers=1, width=16, ffn=16, heads=2, final_width=8, position_kernel=8,
        position_groups=4, dropout=0.0, attention_dropout=0.0, input_dropout=0.0, layer_drop=0.0, mask_prob=0.5,
        mask_length=5, unmasked_weight=1.0, feature_penalty=10.0, feature_grad_scale=1.0, updates=1, lr=1e-3,
        lr_audio_s=3.0, audio_s_per_update=3.0, batch_audio_s=3.0, warmup_share=0.0, clip_norm=1.0, weight_decay=0.0,
        shortest_s=0.5, longest_s=2.0, products="float32", on_divergence="stop", validate_updates=1, report_updates=1,
        loader_workers=0, seed=1, optimizer="adam",
    )  # fmt: skip
    inputs = hubert.Inputs(manifest=folder / "manifest", labels=folder / "labels")
    (tmp_path / "outputs").mkdir()
    hubert.run(cfg, inputs=inputs, outputs=tmp_path / "outputs", context=silent(tmp_path / "scratch"))
    checkpoint = tmp_path / "outputs" / "checkpoint.pt"
    assert str(tmp_path).encode() not in checkpoint.read_bytes(), "no path of this machine in a hashed output"

    from fairseq import checkpoint_utils
    from fairseq.models.hubert.hubert import HubertModel
    from fairseq.tasks.hubert_pretraining import HubertPretrainingTask

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        models, _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)])
    assert type(models[0]) is HubertModel
    assert type(task) is HubertPretrainingTask
    assert [len(dictionary) for dictionary in task.dictionaries] == [CLUSTERS + 4]
    clip = np.random.default_rng(1).standard_normal(8_000).astype(np.float32)
    expected, _ = models[0].eval().extract_features(torch.from_numpy(clip)[None], mask=False, output_layer=1)
    found = FeatureReader(checkpoint, layer=1, device="cpu").extract_unpadded(clip)
    worst = float(np.abs(found - expected[0].detach().numpy()).max())
    compared(
        record_property,
        tool="fairseq's `load_model_ensemble_and_task`",
        source="checkpoint of the stage `hubert`, features of its layer",
        result=f"loads as fairseq's own `HubertModel`; features differ by at most {worst:.1e}",
    )
    assert worst < 1e-5, f"largest difference {worst:.2e}"
