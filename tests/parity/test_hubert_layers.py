"""HuBERT's convolutions and Transformer, computed in another order, equal fairseq's own modules."""

import importlib
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from parity.record import Record, compared

TOLERANCE = 1e-4  # of the largest value
DEMO = [(16, 20, 10), (16, 3, 2), (16, 3, 2), (16, 3, 2), (24, 2, 2), (24, 2, 2)]
BASE = [(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2]


def _gradients(module: torch.nn.Module, output: Tensor, weights: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    (output * weights).sum().backward()
    return {name: each.grad.clone() for name, each in module.named_parameters() if each.grad is not None}


def _worst(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert set(found) == set(expected)
    floor = 1e-6 * max(float(each.abs().max()) for each in expected.values())
    return max(
        float((found[name] - each).abs().max()) / max(float(each.abs().max()), floor) for name, each in expected.items()
    )


@pytest.mark.parametrize("layers", [DEMO, BASE])
@pytest.mark.parametrize("samples", [16_000, 9_519, 4_801])
def test_convolutions_equal_fairseqs(layers: list[Any], samples: int, record_property: Record) -> None:
    """Frames and gradients are fairseq's for clips of any length, loud, quiet and far from zero in the mean."""
    importlib.import_module("tongyeok_fairseq")
    wav2vec = importlib.import_module("fairseq.models.wav2vec.wav2vec2")
    ours = importlib.import_module("tongyeok_fairseq.hubert_convolutions")
    torch.manual_seed(0)
    extractor = wav2vec.ConvFeatureExtractionModel(layers)
    assert ours.convolutions_suit(extractor)
    source = torch.randn(3, samples) * torch.tensor([[1.0], [1e-2], [0.1]]) + torch.tensor([[0.0], [0.0], [0.5]])
    source[2, samples // 2 :] = 0

    expected = extractor(source)
    found = ours.convolve(extractor, source)

    assert found.shape == expected.shape
    difference = float((found - expected).detach().abs().max() / expected.detach().abs().max())
    weights = torch.randn_like(expected)
    gradient = _worst(_gradients(extractor, found, weights), _gradients(extractor, expected, weights))
    compared(
        record_property,
        tool="fairseq's `ConvFeatureExtractionModel`",
        source=f"{len(layers)} layers, three clips of {samples:,} samples",
        result=f"at most {difference:.1e} of the largest value, gradients {gradient:.1e}",
    )
    assert difference < TOLERANCE, f"largest difference {difference:.2e}"
    assert gradient < TOLERANCE, f"largest gradient difference {gradient:.2e}"


@pytest.mark.parametrize("change", ["layer_norm", "bias"])
def test_other_convolutions_are_left_to_fairseq(change: str) -> None:
    """Layers with a norm each, as HuBERT large has, or with biases, are not those that the products stand for."""
    importlib.import_module("tongyeok_fairseq")
    wav2vec = importlib.import_module("fairseq.models.wav2vec.wav2vec2")
    ours = importlib.import_module("tongyeok_fairseq.hubert_convolutions")
    options = {"mode": "layer_norm"} if change == "layer_norm" else {"conv_bias": True}
    assert not ours.convolutions_suit(wav2vec.ConvFeatureExtractionModel(DEMO, **options))


def test_the_transformer_equals_fairseqs(record_property: Record) -> None:
    """Frames that are not padding, and gradients, are fairseq's, for clips of different lengths."""
    importlib.import_module("tongyeok_fairseq")
    wav2vec = importlib.import_module("fairseq.models.wav2vec.wav2vec2")
    ours = importlib.import_module("tongyeok_fairseq.hubert_encoder")
    options = wav2vec.Wav2Vec2Config(
        encoder_layers=3, encoder_embed_dim=32, encoder_ffn_embed_dim=64, encoder_attention_heads=4,
        conv_pos=16, conv_pos_groups=4, dropout=0.0, attention_dropout=0.0, encoder_layerdrop=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        encoder = wav2vec.TransformerEncoder(options)
    assert ours.encoder_suits(encoder)
    x = torch.randn(3, 49, 32)
    padding = torch.arange(49) >= torch.tensor([[49], [40], [11]])
    weights = torch.randn_like(x) * ~padding[..., None]

    expected, _ = encoder(x, padding_mask=padding)
    found = ours.encode(encoder, x, padding)

    difference = float(((found - expected) * ~padding[..., None]).detach().abs().max() / expected.detach().abs().max())
    gradient = _worst(_gradients(encoder, found, weights), _gradients(encoder, expected, weights))
    compared(
        record_property,
        tool="fairseq's `TransformerEncoder` of wav2vec 2.0",
        source="three layers, clips of 49, 40 and 11 frames",
        result=f"at most {difference:.1e} of the largest value, gradients {gradient:.1e}",
    )
    assert difference < TOLERANCE, f"largest difference {difference:.2e}"
    assert gradient < TOLERANCE, f"largest gradient difference {gradient:.2e}"
