"""Translator training at the demo's size: one update on a batch shaped like the demo's bitext."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import Dictionary, LanguagePairDataset
from paired import Row, compare

from tongyeok import config
from tongyeok.base.products import multiplies_bfloat16
from tongyeok.unit2unit.translator import TranslatorConfig
from tongyeok_fairseq import translation_fast, translation_loss, translation_model, translation_train

UNITS = 200
SENTENCES, LENGTHS = 54, (30, 85)  # about 3,000 target tokens, as the demo's batches
ROUNDS = 7


def rows() -> list[Row]:
    """Our update beside fairseq's, the same weights, in float32 and with the demo's products."""
    sections = yaml.safe_load(Path("conf/translator/demo.yaml").read_text(encoding="utf-8"))
    cfg = config.build(TranslatorConfig, sections, where="conf/translator/demo.yaml")
    dictionary = Dictionary()
    for unit in range(UNITS):
        dictionary.add_symbol(str(unit))
    sample = _batch(dictionary)
    values = translation_model.arguments(cfg.architecture, max_positions=1024)
    torch.manual_seed(0)
    stock = translation_model.build(values, dictionary).train()
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    smoothing = cfg.optimisation.label_smoothing
    plain = LabelSmoothedCrossEntropyCriterion(SimpleNamespace(target_dictionary=dictionary), False, smoothing)
    fused = translation_loss.UnitCrossEntropy(SimpleNamespace(target_dictionary=dictionary), False, smoothing)
    found = []
    for products in ["float32"] + ["bfloat16"] * multiplies_bfloat16(torch.device("cpu")):
        model = translation_fast.UnitTransformer.build_model(Namespace(products=products, **values), task).train()
        model.load_state_dict(stock.state_dict())
        difference = _difference((model, fused), (stock, plain), sample)
        ours, theirs = _update(model, fused, sample), _update(stock, plain, sample)
        with translation_train.fast_products():
            found.append(
                compare(
                    "translator_train" if products == "float32" else f"translator_train/{products}",
                    unit="target tokens",
                    amount=sample["ntokens"],
                    ours=ours,
                    stock=theirs,
                    rounds=ROUNDS,
                    parity=f"loss equal to {difference:.1e} relative, same weights, no dropout",
                    limit="",
                )
            )
    return found


def _batch(dictionary: Dictionary) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    sides = []
    for _ in range(2):
        lengths = torch.randint(*LENGTHS, (SENTENCES,), generator=generator).sort().values.tolist()
        sentences = [torch.randint(4, 4 + UNITS, (length,), generator=generator) for length in lengths]
        sides.append([torch.cat([sentence, torch.tensor([dictionary.eos()])]) for sentence in sentences])
    sizes = [[len(sentence) for sentence in side] for side in sides]
    data = LanguagePairDataset(sides[0], sizes[0], dictionary, sides[1], sizes[1], dictionary, shuffle=False)
    return data.collater([data[index] for index in range(SENTENCES)])


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


def _difference(ours: tuple[Any, Any], stock: tuple[Any, Any], sample: dict[str, Any]) -> float:
    losses = []
    for model, criterion in (ours, stock):
        model.eval()
        with torch.no_grad():
            losses.append(float(criterion(model, sample)[0]))
        model.train()
    return abs(losses[0] - losses[1]) / losses[1]
