"""HuBERT pre-training at the demo's size and base's: forward, loss and backward of one batch, K = 500."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from fairseq import tasks
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.data import Dictionary
from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
from omegaconf import OmegaConf
from paired import Row, compare
from probes import gemm_peak
from torch import Tensor

from tongyeok import config
from tongyeok.base.products import fast_products, multiplies_bfloat16
from tongyeok.engine import hubert
from tongyeok_fairseq import sizes

CLUSTERS = 500
BATCHES = {"demo": (20, 3.0), "base": (3, 3.0)}  # clips, seconds
ROUNDS = {"demo": 3, "base": 2}
LABEL_RATE = 50
LOSS_BOUND = {"float32": 1e-4, "bfloat16": 2**-8}  # relative
GRADIENT_BOUND = {"float32": 1e-4, "bfloat16": 0.1}  # of the largest gradient


def rows() -> list[Row]:
    """Our step beside fairseq's float32 one: its default `skip_nomask: false`, `true`, and as the profile trains."""
    return [row for profile in BATCHES for row in _profile(profile)]


def _profile(profile: str) -> list[Row]:
    sections = yaml.safe_load(Path(f"conf/hubert/{profile}.yaml").read_text(encoding="utf-8"))
    cfg = config.build(hubert.HubertConfig, sections["1"], where=f"conf/hubert/{profile}.yaml")
    clips, seconds = BATCHES[profile]
    samples = int(seconds * 16_000)
    torch.manual_seed(0)
    source = 0.1 * torch.randn(clips, samples)
    labels = torch.randint(4, 4 + CLUSTERS, (clips, int(seconds * LABEL_RATE) - 1))
    sample = {
        "id": torch.arange(clips),
        "net_input": {"source": source, "padding_mask": torch.zeros_like(source, dtype=torch.bool)},
        "target_list": [labels],
    }
    values = hubert.fairseq_config(cfg, data=Path(), labels=Path(), label_rate=LABEL_RATE)["model"]
    flops = sizes.hubert(values, clusters=CLUSTERS, products="float32", clips=clips, samples=samples).flops
    variants = {"": (False, 0.0, "float32"), "/skip_nomask": (True, 0.0, "float32")}
    if multiplies_bfloat16(torch.device("cpu")):
        variants["/bfloat16"] = (cfg.unmasked_weight == 0, cfg.unmasked_weight, "bfloat16")
    found = []
    for name, (skip, weight, products) in variants.items():
        changed = values | {"skip_nomask": skip}
        ours = _build("tongyeok_hubert", changed | {"products": products}, unmasked_weight=weight)
        stock = _build("hubert", changed, unmasked_weight=weight)
        stock[0].load_state_dict(ours[0].state_dict())
        found.append(
            compare(
                f"hubert_step_{profile}{name}",
                unit="audio seconds",
                amount=clips * seconds,
                ours=lambda both=ours: _ours(*both, sample),
                stock=lambda both=stock: _step(*both, sample),
                rounds=ROUNDS[profile],
                parity=_parity(ours, stock, sample, products),
                limit=partial(_limit, flops / (clips * seconds), products),
            )
        )
    return found


def _build(name: str, values: Mapping[str, Any], *, unmasked_weight: float) -> tuple[Any, Any]:
    known = MODEL_DATACLASS_REGISTRY[name].__dataclass_fields__
    model_config = MODEL_DATACLASS_REGISTRY[name](
        label_rate=float(LABEL_RATE), **{key: value for key, value in values.items() if key in known and key != "_name"}
    )
    dictionary = Dictionary()
    for label in range(CLUSTERS):
        dictionary.add_symbol(str(label))
    task_config = tasks.hubert_pretraining.HubertPretrainingConfig(label_rate=float(LABEL_RATE))
    task = SimpleNamespace(cfg=task_config, dictionaries=[dictionary])
    torch.manual_seed(0)
    model = MODEL_REGISTRY[name].build_model(OmegaConf.structured(model_config), task)
    return model.train(), CRITERION_REGISTRY[name](None, 1.0, unmasked_weight, loss_weights=[10.0], log_keys=[])


def _ours(model: Any, criterion: Any, sample: dict[str, Any]) -> float:
    with fast_products():
        return _step(model, criterion, sample)


def _step(model: Any, criterion: Any, sample: dict[str, Any]) -> float:
    model.zero_grad()
    loss, _, _ = criterion(model, sample)
    loss.backward()
    return float(loss.detach())


def _parity(ours: tuple[Any, Any], stock: tuple[Any, Any], sample: dict[str, Any], products: str) -> str:
    """Differences of loss and gradients: the same weights and mask, no dropout."""
    losses, gradients = [], []
    for step, (model, criterion) in ((_ours, ours), (_step, stock)):
        model.eval()
        apply_mask = model.apply_mask
        model.apply_mask = partial(_same_mask, model)
        losses.append(step(model, criterion, sample))
        model.apply_mask = apply_mask
        model.train()
        gradients.append({name: each.grad for name, each in model.named_parameters() if each.grad is not None})
    loss = abs(losses[0] - losses[1]) / losses[1]
    found, expected = gradients
    if set(found) != set(expected):
        raise ValueError(f"gradients of different parameters: {sorted(set(found) ^ set(expected))}")
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    gradient = max(float((found[name] - expected[name]).abs().max()) for name in expected) / largest
    if not (loss <= LOSS_BOUND[products] and gradient <= GRADIENT_BOUND[products]):
        raise ValueError(f"{products}: loss differs by {loss:.1e} relative, gradients by {gradient:.1e} of the largest")
    return (
        f"loss equal to {loss:.1e} relative, gradients to {gradient:.1e} of the largest one; "
        "fairseq's model loads the weights; same mask, no dropout"
    )


def _limit(flops: float, products: str, speed: float) -> str:
    """Share of the matrix products' peak, given operations and seconds of audio a second."""
    peak = gemm_peak(getattr(torch, products))
    return (
        f"{flops / 1e9:.2f} GFLOP of products an audio second; at {flops * speed / peak:.0%} of the "
        f"{peak / 1e9:.0f} GFLOP/s of a large {products} product"
    )


def _same_mask(model: Any, x: Tensor, _padding: Tensor, _targets: list[Tensor]) -> tuple[Tensor, Tensor]:
    mask = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(1)) < 0.5
    return torch.where(mask.unsqueeze(-1), model.mask_emb, x), mask
