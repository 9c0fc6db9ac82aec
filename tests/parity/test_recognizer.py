"""The recogniser against fairseq's `HubertCtc` and `CtcCriterion`: same parameters, outputs, loss and errors."""

import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.criterions.ctc import CtcCriterion, CtcCriterionConfig
from fairseq.data import Dictionary
from fairseq.models.hubert.hubert_asr import HubertCtc, HubertCtcConfig
from omegaconf import OmegaConf
from rapidfuzz.distance import Levenshtein

from parity.record import Record, compared
from tongyeok import config
from tongyeok.base.stage import silent
from tongyeok.engine.recognizer import RecognizerConfig
from tongyeok.recognizer import recognizer
from tongyeok_fairseq.recognizer_decode import Decoder
from tongyeok_fairseq.recognizer_model import TongyeokRecognizer, TongyeokRecognizerConfig, configuration
from tongyeok_fairseq.recognizer_task import TongyeokRecognizerCriterion
from unit.recognizer.toy_letters import HUBERT, VALUES, build


@dataclass
class MendedConfig(HubertCtcConfig):  # type: ignore[misc]
    """Stock's configuration with the field that its encoder reads and lacks."""

    autoregressive: bool = False


def _dictionary(symbols: str) -> Dictionary:
    made = Dictionary()
    for symbol in symbols:
        made.add_symbol(symbol)
    return made


def _task() -> SimpleNamespace:
    return SimpleNamespace(target_dictionary=_dictionary("|abcde"), blank_symbol="<s>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy corpus with a HuBERT that stock fairseq can fine-tune: its label dictionary is in it."""
    root = build(tmp_path_factory.mktemp("letters"))
    path = root / "hubert" / "checkpoint.pt"
    state = torch.load(path, weights_only=False)
    state["cfg"]["task"] = {"_name": "hubert_pretraining", "normalize": False, "sample_rate": 16_000, "data": "."}
    history = {"optimizer_name": "FairseqAdam", "lr_scheduler_state": {}, "num_updates": 1}
    state |= {"optimizer_history": [history], "extra_state": {"train_iterator": {"epoch": 1}}}
    state["task_state"] = {"dictionaries": [_dictionary("01234567")]}
    torch.save(state, path)
    return root


@pytest.fixture
def models(folder: Path) -> tuple[Any, Any]:
    """Ours and stock's with the same projection, in evaluation mode."""
    path = folder / "hubert" / "checkpoint.pt"
    ours_cfg = OmegaConf.merge(
        OmegaConf.structured(TongyeokRecognizerConfig),
        {
            "w2v_path": str(path),
            "w2v_args": configuration(path),
            "normalize": False,
            "data": ".",
            "products": "bfloat16",  # of training only
        },
    )
    stock_cfg = OmegaConf.merge(
        OmegaConf.structured(MendedConfig), {"w2v_path": str(path), "normalize": False, "data": "."}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = TongyeokRecognizer.build_model(ours_cfg, _task())
        stock = HubertCtc.build_model(stock_cfg, _task())
    stock.w2v_encoder.proj.load_state_dict(ours.w2v_encoder.proj.state_dict())
    return ours.eval(), stock.eval()


def _batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    padding = torch.zeros(3, 16_000, dtype=torch.bool)
    padding[1, 12_000:] = True
    source = torch.randn(3, 16_000, generator=generator).masked_fill(padding, 0.0)
    return {"source": source, "padding_mask": padding}


def test_the_model_is_fairseqs(models: tuple[Any, Any], record_property: Record) -> None:
    """Parameters have the same names, shapes and pre-trained values; outputs outside training are equal to the bit."""
    ours, stock = models
    left, right = ours.state_dict(), stock.state_dict()
    del right["w2v_encoder.w2v_model.label_embs_concat"]  # of pre-training; stock carries it along unused
    assert list(left) == list(right)
    assert all(torch.equal(left[key], right[key]) for key in left)
    with torch.no_grad():
        found, expected = ours(**_batch()), stock(**_batch())
    assert torch.equal(found["encoder_out"], expected["encoder_out"])
    assert torch.equal(found["padding_mask"], expected["padding_mask"])
    compared(
        record_property,
        tool="fairseq's `HubertCtc`",
        source="a fine-tuned toy HuBERT, 3 noises, one padded",
        result=f"{len(left)} tensors and the outputs equal to the bit",
    )


def test_the_loss_and_errors_are_fairseqs(
    models: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Loss, sample size and letter errors equal those of the stock criterion, whose `editdistance` is lent it here."""
    shim = types.ModuleType("editdistance")
    shim.eval = Levenshtein.distance  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "editdistance", shim)
    ours, stock = models
    pad = _task().target_dictionary.pad()
    sample = {
        "id": torch.arange(3),
        "net_input": _batch(),
        "target": torch.tensor([[5, 6, 7, 4], [8, 8, 4, pad], [9, 5, 6, 4]]),
        "target_lengths": torch.tensor([4, 3, 4]),
        "ntokens": 11,
    }
    cfg = OmegaConf.merge(OmegaConf.structured(CtcCriterionConfig), {"zero_infinity": True, "sentence_avg": True})
    with torch.no_grad():
        loss, size, log = TongyeokRecognizerCriterion(cfg, _task())(ours, sample)
        expected_loss, expected_size, expected_log = CtcCriterion(cfg, _task())(stock, sample)
    assert torch.equal(loss, expected_loss)
    assert (size, log["c_errors"], log["c_total"]) == (
        expected_size,
        expected_log["c_errors"],
        expected_log["c_total"],
    )
    compared(
        record_property,
        tool="fairseq's `CtcCriterion`, its `editdistance` lent",
        source="the same batch, 11 letters",
        result="loss equal to the bit, letter errors equal",
    )


def test_fairseq_loads_a_finished_recogniser(folder: Path, tmp_path: Path, record_property: Record) -> None:
    """Stock's loader builds it from its own file alone and computes the same scores."""
    inputs = recognizer.Inputs(corpus=folder / "corpus", manifest=folder / "manifest", hubert=folder / "hubert")
    cfg = config.build(RecognizerConfig, VALUES | {"updates": 2}, where="recognizer")
    (tmp_path / "out").mkdir()
    recognizer.run(cfg, inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path / "scratch"))
    path = tmp_path / "out" / "checkpoint.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (model,), _, _ = checkpoint_utils.load_model_ensemble_and_task([str(path)])
    clip = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    with torch.no_grad():
        expected = model.eval()(source=torch.from_numpy(clip)[None], padding_mask=None)["encoder_out"][:, 0]
    assert torch.equal(Decoder(path, device="cpu").logits(clip), expected)
    compared(
        record_property,
        tool="fairseq's `load_model_ensemble_and_task`",
        source="a recogniser that our stage trained",
        result="loads; scores of a clip equal to the bit",
    )
    assert HUBERT["encoder_embed_dim"] == model.w2v_encoder.proj.in_features
