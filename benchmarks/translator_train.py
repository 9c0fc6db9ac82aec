"""Translator training: one update at the guide's size and at the demo's, on a batch shaped like a bitext.

Ours runs as the product trains, matrix products through oneDNN (`fast_products`); stock as fairseq's trainer runs, with
torch's own choice.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import Dictionary, LanguagePairDataset
from paired import Row, compare
from probes import gemm_peak

from tongyeok import config
from tongyeok.base.products import fast_products, multiplies_bfloat16
from tongyeok.unit2unit.translator import TranslatorConfig
from tongyeok_fairseq import translation_fast, translation_loss, translation_model

BOUNDS = {"float32": 1e-4, "bfloat16": 0.05}  # of the gradient's relative distance
LOSS_BOUNDS = {"float32": 1e-5, "bfloat16": 5e-3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A configuration and a batch."""

    profile: str
    units: int
    sentences: int
    lengths: tuple[int, int]  # least and, left out, most units of a sentence
    rounds: int


CASES = {
    "": Case(profile="paper", units=1000, sentences=6, lengths=(60, 170), rounds=3),
    "demo": Case(profile="demo", units=200, sentences=54, lengths=(30, 85), rounds=7),  # 3,000 tokens, as its batches
}


def rows() -> list[Row]:
    """Our update beside fairseq's, the same weights, in float32 and with the profiles' products."""
    formats = ["float32"] + ["bfloat16"] * multiplies_bfloat16(torch.device("cpu"))
    return [_row(name, case, products) for name, case in CASES.items() for products in formats]


def _row(name: str, case: Case, products: str) -> Row:
    path = Path(f"conf/translator/{case.profile}.yaml")
    cfg = config.build(TranslatorConfig, yaml.safe_load(path.read_text(encoding="utf-8")), where=str(path))
    dictionary = Dictionary()
    for unit in range(case.units):
        dictionary.add_symbol(str(unit))
    sample = _batch(dictionary, case)
    values = translation_model.arguments(cfg.architecture, max_positions=1024)
    torch.manual_seed(0)
    stock = translation_model.build(values, dictionary).train()
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    smoothing = cfg.optimisation.label_smoothing
    plain = LabelSmoothedCrossEntropyCriterion(SimpleNamespace(target_dictionary=dictionary), False, smoothing)
    fused = translation_loss.UnitCrossEntropy(SimpleNamespace(target_dictionary=dictionary), False, smoothing)
    model = translation_fast.UnitTransformer.build_model(Namespace(products=products, **values), task).train()
    model.load_state_dict(stock.state_dict())
    parity = _parity((model, fused), (stock, plain), sample, products)
    update = _update(model, fused, sample)

    def ours() -> None:
        with fast_products():
            update()

    flops = _flops(values, dictionary, sample)
    peak = gemm_peak(getattr(torch, products))
    variant = "_".join(part for part in (name, products if products != "float32" else "") if part)
    return compare(
        "/".join(part for part in ("translator_train", variant) if part),
        unit="target tokens",
        amount=sample["ntokens"],
        ours=ours,
        stock=_update(stock, plain, sample),
        rounds=case.rounds,
        parity=parity,
        limit=lambda speed: (
            f"matrix products of {flops / 1e9:.0f} GFLOP an update, forward and backward; ours does "
            f"{speed / sample['ntokens'] * flops / peak:.0%} of a large product's {peak / 1e9:.0f} GFLOP/s ({products})"
        ),
    )


def _batch(dictionary: Dictionary, case: Case) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    sides = []
    for _ in range(2):
        lengths = torch.randint(*case.lengths, (case.sentences,), generator=generator).sort().values.tolist()
        sentences = [torch.randint(4, 4 + case.units, (length,), generator=generator) for length in lengths]
        sides.append([torch.cat([sentence, torch.tensor([dictionary.eos()])]) for sentence in sentences])
    sizes = [[len(sentence) for sentence in side] for side in sides]
    data = LanguagePairDataset(sides[0], sizes[0], dictionary, sides[1], sizes[1], dictionary, shuffle=False)
    return data.collater([data[index] for index in range(case.sentences)])


def _update(model: Any, criterion: Any, sample: dict[str, Any]) -> Any:
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), fused=True)

    def update() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss, _, _ = criterion(model, sample)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return float(loss.detach())

    return update


def _parity(ours: tuple[Any, Any], stock: tuple[Any, Any], sample: dict[str, Any], products: str) -> str:
    """Loss and gradients of both without dropout."""
    losses, gradients = [], []
    for model, criterion in (ours, stock):
        model.eval()
        loss, _, _ = criterion(model, sample)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        model.zero_grad(set_to_none=True)
        model.train()
    loss = abs(losses[0] - losses[1]) / losses[1]
    gradient = float((gradients[0] - gradients[1]).norm() / gradients[1].norm())
    if loss > LOSS_BOUNDS[products] or gradient > BOUNDS[products]:
        raise RuntimeError(f"{products}: loss differs by {loss:.1e}, gradient by {gradient:.1e}")
    return f"same weights, no dropout: loss equal to {loss:.1e} relative, gradient to {gradient:.1e} of its norm"


def _flops(values: dict[str, Any], dictionary: Dictionary, sample: dict[str, Any]) -> float:
    """Operations of an update: six a weight of each product and token; attention's own, padded, left out."""
    width, inner = values["encoder_embed_dim"], values["encoder_ffn_embed_dim"]
    layer = 4 * width**2 + 2 * width * inner
    sources = int(sample["net_input"]["src_lengths"].sum())
    remembered = values["decoder_layers"] * 2 * width**2  # keys and values of the encoder's states
    decoder = values["decoder_layers"] * (layer + 2 * width**2) + width * len(dictionary)
    return 6.0 * (sources * (values["encoder_layers"] * layer + remembered) + sample["ntokens"] * decoder)
