"""fairseq's models at their true size on tensors without numbers: a training step of each, to be counted."""

import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig
from omegaconf import OmegaConf
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from tongyeok.base.audio import SAMPLE_RATE, UNIT_RATE
from tongyeok.base.products import Products
from tongyeok.engine.counting import Step, count_step
from tongyeok.engine.translation import Architecture
from tongyeok_fairseq import translation_model
from tongyeok_fairseq.hubert_model import TongyeokHubertConfig, TongyeokHubertModel
from tongyeok_fairseq.recognizer_model import RecognizerEncoder, TongyeokRecognizerConfig
from tongyeok_fairseq.translation_fast import Packing, UnitTransformer
from tongyeok_fairseq.translation_loss import label_smoothed
from tongyeok_fairseq.translation_train import LEAST_POSITIONS

SMOOTHING = 0.1  # any: every share of label smoothing keeps and computes the same


def hubert(values: Mapping[str, Any], *, clusters: int, products: Products, clips: int, samples: int) -> Step:
    """A step of HuBERT's pre-training on `clips` of so many samples, all frames predicted, from fairseq's options.

    The model's own forward pass draws masks and picks frames by them, which tensors without numbers cannot: its parts
    are called one after the other.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = build_hubert({**values, "encoder_layerdrop": 0.0}, clusters=clusters)
        return count_step(hubert_loss(model, torch.zeros(clips, samples), products=products), model)


def hubert_loss(model: TongyeokHubertModel, source: Tensor, *, products: Products) -> Callable[[], Tensor]:
    """The forward pass on `source` (clips, samples), the loss over all its frames."""

    def loss() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=products == "bfloat16"):
            x = model(source, mask=False, features_only=True)["x"]
        frames = x.float().flatten(0, 1)
        (logits,) = model.class_logits(frames)
        return functional.cross_entropy(logits, torch.zeros(len(frames), dtype=torch.long), reduction="sum")

    return loss


def build_hubert(values: Mapping[str, Any], *, clusters: int) -> TongyeokHubertModel:
    """A model in training mode with heads for `clusters` labels."""
    known = {key: value for key, value in values.items() if key != "_name"}
    cfg = OmegaConf.merge(OmegaConf.structured(TongyeokHubertConfig), {**known, "label_rate": float(UNIT_RATE)})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        model = TongyeokHubertModel(cfg, HubertPretrainingConfig(sample_rate=SAMPLE_RATE), [_dictionary(clusters)])
    return model.train()


def recognizer(values: Mapping[str, Any], *, letters: int, products: Products, clips: int, samples: int) -> Step:
    """A step of fine-tuning with a projection to `letters`, from fairseq's options; fake tensors draw no masks."""
    pretrained = {**values["w2v_args"]["model"], "_name": "hubert", "label_rate": float(UNIT_RATE)}
    pretrained.pop("products")
    options = {**values, "w2v_args": {**values["w2v_args"], "model": pretrained}, "layerdrop": 0.0}
    options.pop("_name")
    with FakeTensorMode(allow_non_fake_inputs=True):
        cfg = OmegaConf.merge(OmegaConf.structured(TongyeokRecognizerConfig), options)
        encoder = RecognizerEncoder(cfg, letters).train()
        source = torch.zeros(clips, samples)

        def loss() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=products == "bfloat16"):
                x = TongyeokHubertModel.forward(encoder.w2v_model, source, mask=False, features_only=True)["x"]
                scores = encoder.proj(encoder.final_dropout(x))
            return functional.log_softmax(scores.float(), dim=-1).sum()

        return count_step(loss, encoder)


def translator(architecture: Architecture, *, symbols: int, products: Products, sentences: int, tokens: int) -> Step:
    """A step of the translator on full sentences of one length, for so many symbols beside fairseq's own four."""
    values = translation_model.arguments(architecture, max_positions=max(LEAST_POSITIONS, tokens))
    words = _dictionary(symbols)
    task = SimpleNamespace(source_dictionary=words, target_dictionary=words)
    with torch.device("meta"):
        model = UnitTransformer.build_model(Namespace(**values, products=products), task).train()
        packing = _full(sentences, tokens)
        sentence = torch.zeros(sentences, tokens, dtype=torch.long)

        def loss() -> Tensor:
            memory = model._encode(sentence, packing)  # noqa: SLF001  `forward` looks for padding in the numbers
            logits = model.decoder.output_layer(model._decode(sentence, memory, packing, packing))  # noqa: SLF001
            return label_smoothed(logits, sentence.flatten(), SMOOTHING)[0]

        return count_step(loss, model)


def _full(sentences: int, steps: int) -> Packing:
    """Packing of sentences without padding."""
    rows = sentences * steps
    places = torch.zeros(rows, dtype=torch.long)
    padding = torch.zeros(sentences, steps, dtype=torch.bool)
    return Packing(flat=places, place=places, padding=padding, tokens=rows, sentences=sentences, steps=steps)


def _dictionary(symbols: int) -> Dictionary:
    dictionary = Dictionary()
    for symbol in range(symbols):
        dictionary.add_symbol(str(symbol))
    return dictionary
