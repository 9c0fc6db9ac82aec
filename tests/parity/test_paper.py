"""The paper profile's numbers are the papers' and the guide's; for HuBERT, those of fairseq's own configuration."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from architecture.closure import ROOT
from parity.fairseq_scripts import script
from parity.record import Record, compared
from tongyeok import config
from tongyeok.engine import recognizer
from tongyeok.engine.hubert import HubertConfig, fairseq_config
from tongyeok.verbs import params

REPLACED = {  # what ours says otherwise, to the same effect
    "_name",
    "conv_feature_layers",  # written out; compared apart
    "skip_nomask",  # stock weighs the unmasked loss with 0
    "products",  # bfloat16 by autocast for stock's fp16
}


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    return params.compose(ROOT / "conf", "paper")


@pytest.mark.parametrize(("iteration", "updates"), [("1", 250_000), ("2", 400_000), ("3", 400_000)])
def test_hubert_is_fairseqs_base(paper: dict[str, Any], record_property: Record, iteration: str, updates: int) -> None:
    """Model, loss, optimiser and amount of audio are those of `hubert_base_librispeech.yaml`, value by value."""
    importlib.import_module("tongyeok_fairseq")
    options = importlib.import_module("fairseq.models.hubert.hubert").HubertConfig()
    parse = importlib.import_module("tongyeok_fairseq.safety").parse_conv_layers
    path = script("hubert", "config", "pretrain", "hubert_base_librispeech.yaml")
    stock = yaml.safe_load(path.read_text(encoding="utf-8"))
    cfg = config.build(HubertConfig, paper["hubert"][iteration], where=f"hubert.{iteration}")
    ours = fairseq_config(cfg, data=Path(), labels=Path(), label_rate=50)
    model = {name: stock["model"].get(name, getattr(options, name, None)) for name in ours["model"]}
    compare = ours["model"].keys() - REPLACED
    assert {name: ours["model"][name] for name in compare} == {name: model[name] for name in compare}
    assert parse(ours["model"]["conv_feature_layers"]) == parse(model["conv_feature_layers"])
    assert cfg.unmasked_weight == stock["criterion"]["pred_nomask_weight"] == 0
    assert ours["criterion"]["loss_weights"] == stock["criterion"]["loss_weights"]
    for name in ("adam_eps", "weight_decay"):
        assert ours["optimizer"][name] == float(stock["optimizer"][name])
    assert ours["optimizer"]["adam_betas"].replace(" ", "") == stock["optimizer"]["adam_betas"]
    assert ours["optimization"]["lr"] == stock["optimization"]["lr"]
    assert ours["optimization"]["clip_norm"] == stock["optimization"]["clip_norm"]
    for name in ("max_sample_size", "min_sample_size"):
        assert ours["task"][name] == stock["task"][name]
    samples = stock["dataset"]["max_tokens"] * stock["distributed_training"]["distributed_world_size"]
    assert ours["dataset"]["max_tokens"] * cfg.batches_per_update == samples
    assert ours["optimization"]["max_update"] == updates  # HuBERT sec. IV-B: 250k, then 400k
    warmup = stock["lr_scheduler"]["warmup_updates"] / stock["optimization"]["max_update"]
    assert ours["lr_scheduler"]["warmup_updates"] == warmup * updates
    compared(
        record_property,
        tool="`hubert_base_librispeech.yaml`",
        source=f"hubert.{iteration} of the paper profile",
        result=f"{len(compare)} values of the model equal; loss, optimiser, learning rate and audio per update too",
    )


def test_the_recogniser_is_fine_tuned_as_base_10h(paper: dict[str, Any], record_property: Record) -> None:
    """Masks, dropouts, optimiser, schedule and audio per update are those of `base_10h.yaml`."""
    path = script("hubert", "config", "finetune", "base_10h.yaml")
    stock = yaml.safe_load(path.read_text(encoding="utf-8"))
    hubert = fairseq_config(
        config.build(HubertConfig, paper["hubert"]["3"], where="hubert.3"), data=Path(), labels=Path(), label_rate=50
    )["model"]
    cfg = config.build(recognizer.RecognizerConfig, paper["recognizer"], where="recognizer")
    ours = recognizer.fairseq_config(
        cfg, hubert=Path(), pretrained={"model": hubert, "task": {"normalize": False}}, data=Path()
    )
    names = ours["model"].keys() & stock["model"].keys() - {"_name", "w2v_path"}
    assert {name: ours["model"][name] for name in names} == {name: stock["model"][name] for name in names}
    assert ours["optimization"]["lr"] == [float(each) for each in stock["optimization"]["lr"]]
    assert ours["optimization"]["max_update"] == stock["optimization"]["max_update"]
    assert ours["optimization"]["sentence_avg"] == stock["optimization"]["sentence_avg"]
    assert ours["criterion"]["zero_infinity"] == stock["criterion"]["zero_infinity"]
    assert ours["optimizer"]["adam_eps"] == float(stock["optimizer"]["adam_eps"])
    assert ours["lr_scheduler"]["warmup_steps"] == stock["lr_scheduler"]["warmup_steps"]
    assert ours["lr_scheduler"]["hold_steps"] == stock["lr_scheduler"]["hold_steps"]
    samples = stock["dataset"]["max_tokens"] * stock["distributed_training"]["nprocs_per_node"]
    assert ours["dataset"]["max_tokens"] * cfg.batches_per_update == samples
    compared(
        record_property,
        tool="`base_10h.yaml`",
        source="recognizer of the paper profile",
        result=f"{len(names)} values of the model equal; loss, optimiser, warm-up and audio per update too",
    )


def test_codebooks_are_the_guides(paper: dict[str, Any]) -> None:
    """Labels of K = 100, 500 and 500 on MFCC, layers 6 and 9; units of K = 1,000 on layer 11 (mHuBERT, UTUT)."""
    assert [(book["clusters"], book["layer"]) for book in paper["kmeans"].values()] == [
        (100, None),
        (500, 6),
        (500, 9),
        (1000, 11),
    ]
    assert {book["smoothing"] for book in paper["kmeans"].values()} == {0}
    assert paper["units"]["switch_penalty"] == 0


def test_the_translator_is_the_guides(paper: dict[str, Any]) -> None:
    """12+12 layers of 512, 8 heads, 2,048; 24,000 tokens x 2, lr 5e-4, warm-up 4,000, label smoothing 0.1, patience."""
    architecture, optimisation = paper["translator"]["architecture"], paper["translator"]["optimisation"]
    shape = ("encoder_layers", "decoder_layers", "width", "heads", "ffn_width")
    assert [architecture[name] for name in shape] == [12, 12, 512, 8, 2048]
    steps = ("tokens_per_batch", "batches_per_update", "learning_rate", "warmup_updates", "schedule")
    assert [optimisation[name] for name in steps] == [24_000, 2, 5e-4, 4_000, "inverse_sqrt"]
    assert optimisation["label_smoothing"] == 0.1
    assert optimisation["patience"] is not None
    assert optimisation["updates"] == 500_000
