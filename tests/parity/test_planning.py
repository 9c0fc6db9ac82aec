"""The dry run builds fairseq's models at their published sizes, and counts on empty tensors what real ones do."""

import dataclasses
import importlib
import warnings
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from architecture.closure import ROOT
from parity.fairseq_scripts import script
from parity.record import Record, compared
from tongyeok import config
from tongyeok.base.products import Products
from tongyeok.engine import counting
from tongyeok.engine.hubert import HubertConfig, fairseq_config
from tongyeok.engine.recognizer import RecognizerConfig
from tongyeok.engine.sizes import hubert_step, recognizer_step, translator_step
from tongyeok.engine.translation import Architecture
from tongyeok.planning.vocoder import vocoder_step
from tongyeok.unit2speech.discriminators import build_discriminators
from tongyeok.unit2speech.hifigan import HifiganConfig
from tongyeok.unit2speech.reference_config import reference_of
from tongyeok.unit2speech.synthesis import build_generator
from tongyeok.unit2speech.vocoder import VocoderConfig
from tongyeok.verbs import params


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    return params.compose(ROOT / "conf", "paper")


def _room() -> Any:
    importlib.import_module("tongyeok_fairseq")
    return importlib.import_module("tongyeok_fairseq.sizes")


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _stock_hubert() -> torch.nn.Module:
    """Stock fairseq's model of `hubert_base_librispeech.yaml`, with heads for 500 labels."""
    from omegaconf import OmegaConf

    text = script("hubert", "config", "pretrain", "hubert_base_librispeech.yaml").read_text(encoding="utf-8")
    values = {**yaml.safe_load(text)["model"], "label_rate": 50.0}
    values.pop("_name")
    dictionary = _room()._dictionary(500)
    module = importlib.import_module("fairseq.models.hubert.hubert")
    task = importlib.import_module("fairseq.tasks.hubert_pretraining").HubertPretrainingConfig(sample_rate=16_000)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        cfg = OmegaConf.merge(OmegaConf.structured(module.HubertConfig), values)
        model: torch.nn.Module = module.HubertModel(cfg, task, [dictionary])
        return model


def test_hubert_base_has_the_published_size(paper: dict[str, Any], record_property: Record) -> None:
    """The paper profile's model has exactly the parameters of stock fairseq's `hubert_base_librispeech`: 95 M."""
    stock = _count(_stock_hubert())
    step = hubert_step(config.build(HubertConfig, paper["hubert"]["2"], where="hubert.2"), clusters=500)
    compared(
        record_property,
        tool="fairseq's `HubertModel` of `hubert_base_librispeech.yaml`",
        source="`plan`: the paper profile's HuBERT, 500 labels",
        result=f"{step.parameters:,} parameters, stock {stock:,}",
    )
    assert step.parameters == stock
    assert step.parameters == pytest.approx(95e6, rel=0.005)


def test_the_transformer_has_fairseqs_count(paper: dict[str, Any], record_property: Record) -> None:
    """12+12 layers of 512 for 1,003 units and tags have exactly the parameters of fairseq's own model."""
    architecture = config.build(Architecture, paper["translator"]["architecture"], where="translator.architecture")
    dictionary = _room()._dictionary(1003)
    module = importlib.import_module("fairseq.models.transformer")
    options = Namespace(
        **{f"{side}_layers": 12 for side in ("encoder", "decoder")},
        **{f"{side}_normalize_before": True for side in ("encoder", "decoder")},
        share_all_embeddings=True,
    )  # the rest is fairseq's default: 512 wide, 2048 inside, 8 heads
    importlib.import_module("fairseq.models.transformer.transformer_legacy").base_architecture(options)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    stock = _count(module.TransformerModel.build_model(options, task))
    step = translator_step(architecture, symbols=1003, products="bfloat16", sentences=2, tokens=16)
    compared(
        record_property,
        tool="fairseq's `TransformerModel`, 12+12, 512",
        source="`plan`: the paper profile's translator, 1,003 units and tags",
        result=f"{step.parameters:,} parameters, stock {stock:,}",
    )
    assert step.parameters == stock


def test_the_recogniser_is_hubert_with_letters_for_labels(paper: dict[str, Any], record_property: Record) -> None:
    """Fine-tuning has the parameters of stock HuBERT base without its heads, and a projection to letters."""
    stock, letters = _stock_hubert(), 100
    heads = stock.label_embs_concat.numel() + _count(stock.final_proj)
    cfg = config.build(RecognizerConfig, paper["recognizer"], where="recognizer")
    hubert = config.build(HubertConfig, paper["hubert"]["3"], where="hubert.3")
    step = recognizer_step(cfg, pretrained=hubert, letters=letters)
    expected = _count(stock) - heads + letters * (768 + 1)
    compared(
        record_property,
        tool="fairseq's `HubertModel` without its heads, and a projection to 100 letters",
        source="`plan`: the paper profile's recognizer",
        result=f"{step.parameters:,} parameters, stock {expected:,}",
    )
    assert step.parameters == expected


def test_the_vocoder_is_counted_with_its_discriminators(paper: dict[str, Any], record_property: Record) -> None:
    """The generator's shared part has fairseq's parameters; discriminators and what they keep come on top."""
    cfg = config.build(VocoderConfig, paper["vocoder"], where="vocoder")
    step = vocoder_step(cfg, clusters=1000, languages=3)
    generator = build_generator(cfg.generator, clusters=1000, languages=3, seed=1)
    discriminators = build_discriminators(shrink=1, seed=1)
    importlib.import_module("tongyeok_fairseq")
    module = importlib.import_module("fairseq.models.text_to_speech.codehifigan")
    assert isinstance(cfg.generator, HifiganConfig)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        stock = _count(module.CodeGenerator(reference_of(cfg.generator, clusters=1000)))
    languages = sum(each.numel() for name, each in generator.named_parameters() if "language" in name)
    compared(
        record_property,
        tool="fairseq's `CodeGenerator` of AV2AV's JSON",
        source="`plan`: the paper profile's generator, 1,000 units, vectors of languages left out",
        result=f"{_count(generator) - languages:,} parameters, stock {stock:,}",
    )
    assert _count(generator) - languages == stock
    assert step.parameters == _count(generator) + _count(discriminators)
    alone = dataclasses.replace(cfg, adversarial=None)
    assert step.kept_bytes > 2 * vocoder_step(alone, clusters=1000, languages=3).kept_bytes


SMALL = {
    "conv_layers": [[32, 10, 5], [32, 3, 2], [32, 3, 2], [32, 3, 2], [32, 3, 2], [48, 2, 2], [48, 2, 2]],
    "layers": 3,
    "width": 64,
    "ffn": 256,
    "heads": 4,
    "final_width": 32,
    "position_kernel": 16,
    "position_groups": 4,
    "batch_audio_s": 16.0,
    "longest_s": 8.0,
}
CLIPS, SAMPLES, CLUSTERS = 2, 128_000, 50


class Kernel(torch.autograd.Function):
    """Keeps what GPUs' attention keeps, in the same layout, on real tensors."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Attention without dropout."""
        mixed = scaled_dot_product_attention(query, key, value, mask)
        mixed = mixed.transpose(1, 2).contiguous().transpose(1, 2)
        rows = -(-query.shape[-2] // 32) * 32  # as the kernel pads them
        draw = torch.zeros((), dtype=torch.long)  # seed and offset of its dropout
        ctx.save_for_backward(query, key, value, mask, mixed, torch.zeros(*query.shape[:2], rows), draw, draw.clone())
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the sides."""
        sides = [saved.detach().requires_grad_() for saved in ctx.saved_tensors[:3]]
        with torch.enable_grad():
            mixed = scaled_dot_product_attention(*sides, ctx.saved_tensors[3])
        return *torch.autograd.grad(mixed, sides, gradient), None


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
def test_empty_tensors_keep_what_real_ones_keep(
    paper: dict[str, Any], monkeypatch: pytest.MonkeyPatch, record_property: Record, products: Products
) -> None:
    """HuBERT's step on real audio keeps exactly the bytes that the dry run counts; only the kernel is a stand-in."""
    cfg = config.build(HubertConfig, {**paper["hubert"]["1"], **SMALL, "products": products}, where="hubert.1")
    empty = hubert_step(cfg, clusters=CLUSTERS)
    values = fairseq_config(cfg, data=ROOT, labels=ROOT, label_rate=50)["model"]
    model = _room().build_hubert({**values, "encoder_layerdrop": 0.0}, clusters=CLUSTERS)
    monkeypatch.setattr(counting, "_attention", lambda q, k, v, mask, *_: Kernel.apply(*_autocast(q, k, v, mask)))
    source = 0.1 * torch.randn(CLIPS, SAMPLES)
    real = counting.count_step(_room().hubert_loss(model, source, products=products), model)
    compared(
        record_property,
        tool="torch's autograd on real tensors, attention's kernel stood in",
        source=f"`plan`: a step of a small HuBERT, {products}",
        result=f"{empty.kept_bytes:,} bytes kept, real {real.kept_bytes:,}",
    )
    assert real.kept_bytes == empty.kept_bytes
    assert real.parameters == empty.parameters


def _autocast(*tensors: Tensor) -> list[Tensor]:
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    return [tensor.to(dtype) for tensor in tensors]


def test_huberts_operations_are_those_of_its_shapes(paper: dict[str, Any]) -> None:
    """The count is the sum over convolutions, projections and attention, forward, and backward twice as many.

    Attention's backward pass computes the scores again; the first convolution has no gradient towards the samples.
    """
    cfg = config.build(HubertConfig, {**paper["hubert"]["1"], **SMALL}, where="hubert.1")
    width, before, length = cfg.width, 1, SAMPLES
    convolutions = []
    for after, kernel, stride in cfg.conv_layers:
        length = (length - kernel) // stride + 1
        convolutions.append(2 * before * after * kernel * length)
        before = after
    position = 2 * width * width // cfg.position_groups * cfg.position_kernel * (length + 1)  # one row is cut again
    enter = 2 * before * width * length
    head = 2 * cfg.final_width * (width + CLUSTERS + 4) * length
    length += length % 2  # fairseq pads the Transformer's input to an even number of frames
    layer = 2 * (4 * width**2 + 2 * width * cfg.ffn) * length
    scores = 2 * width * length**2
    once = sum(convolutions) + position + cfg.layers * layer + enter + head
    expected = CLIPS * (3 * once - convolutions[0] + cfg.layers * (2 + 5) * scores)
    assert hubert_step(cfg, clusters=CLUSTERS).flops == expected


def test_the_translators_operations_are_those_of_its_shapes() -> None:
    """Likewise for the Transformer: every weight of a product counts once a token, and three times with both passes."""
    architecture = Architecture(
        encoder_layers=2,
        decoder_layers=3,
        width=64,
        ffn_width=256,
        heads=4,
        pre_norm=True,
        dropout=0.1,
        attention_dropout=0.1,
        activation_dropout=0.1,
    )
    sentences, tokens, symbols = 6, 40, 100
    width = architecture.width
    forward = 2 * width * architecture.ffn_width
    products = 2 * (4 * width**2 + forward) + 3 * (8 * width**2 + forward) + width * (symbols + 4)
    scores = (2 + 2 * 3) * 2 * width * tokens
    expected = sentences * tokens * (3 * 2 * products + (2 + 5) * scores)
    step = translator_step(architecture, symbols=symbols, products="float32", sentences=sentences, tokens=tokens)
    assert step.flops == expected


def test_a_batch_twice_as_large_takes_twice_as_much(paper: dict[str, Any]) -> None:
    """Beyond copies of weights, what is kept grows with the batch."""
    cfg = {**paper["hubert"]["1"], **SMALL}

    def hubert(seconds: float) -> int:
        each = config.build(HubertConfig, {**cfg, "batch_audio_s": seconds}, where="hubert.1")
        return hubert_step(each, clusters=CLUSTERS).kept_bytes

    assert hubert(32.0) - hubert(16.0) == 2 * (hubert(24.0) - hubert(16.0))
