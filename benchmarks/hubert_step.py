"""HuBERT pre-training at the demo's size: forward, loss and backward of one batch, K = 500."""

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
from torch import Tensor

from tongyeok import config
from tongyeok.engine import hubert

CLUSTERS = 500
CLIPS, SECONDS = 20, 3.0
LABEL_RATE = 50
ROUNDS = 5


def rows() -> list[Row]:
    """Our step beside fairseq's: with its default `skip_nomask: false`, with `true`, and with bfloat16 products."""
    torch.manual_seed(0)
    samples = int(SECONDS * 16_000)
    source = 0.1 * torch.randn(CLIPS, samples)
    labels = torch.randint(4, 4 + CLUSTERS, (CLIPS, int(SECONDS * LABEL_RATE) - 1))
    sample = {
        "id": torch.arange(CLIPS),
        "net_input": {"source": source, "padding_mask": torch.zeros_like(source, dtype=torch.bool)},
        "target_list": [labels],
    }
    found = []
    variants = {"": (False, "float32"), "/skip_nomask": (True, "float32"), "/bfloat16": (False, "bfloat16")}
    for name, (skip, products) in variants.items():
        ours = _build("tongyeok_hubert", skip_nomask=skip, products=products)
        stock = _build("hubert", skip_nomask=skip)
        stock[0].load_state_dict(ours[0].state_dict())
        difference = _difference(ours, stock, sample)
        found.append(
            compare(
                f"hubert_step_demo{name}",
                unit="audio seconds",
                amount=CLIPS * SECONDS,
                ours=lambda both=ours: float(_step(*both, sample)),
                stock=lambda both=stock: float(_step(*both, sample)),
                rounds=ROUNDS,
                parity=f"loss equal to {difference:.1e} relative, same weights and mask",
                limit="",
            )
        )
    return found


def _build(name: str, *, skip_nomask: bool, **ours: str) -> tuple[Any, Any]:
    sections = yaml.safe_load(Path("conf/hubert/demo.yaml").read_text(encoding="utf-8"))
    cfg = config.build(hubert.HubertConfig, sections["1"], where="conf/hubert/demo.yaml")
    values = hubert.fairseq_config(cfg, data=Path(), labels=Path(), label_rate=LABEL_RATE)["model"]
    values = {key: value for key, value in values.items() if key not in {"_name", "products"}}
    values |= {"skip_nomask": skip_nomask, **ours}
    dictionary = Dictionary()
    for label in range(CLUSTERS):
        dictionary.add_symbol(str(label))
    model_config = MODEL_DATACLASS_REGISTRY[name](label_rate=float(LABEL_RATE), **values)
    task_config = tasks.hubert_pretraining.HubertPretrainingConfig(label_rate=float(LABEL_RATE))
    task = SimpleNamespace(cfg=task_config, dictionaries=[dictionary])
    torch.manual_seed(0)
    model = MODEL_REGISTRY[name].build_model(OmegaConf.structured(model_config), task)
    return model.train(), CRITERION_REGISTRY[name](None, 1.0, 0.0, loss_weights=[10.0], log_keys=[])


def _step(model: Any, criterion: Any, sample: dict[str, Any]) -> Tensor:
    model.zero_grad()
    loss, _, _ = criterion(model, sample)
    loss.backward()
    return loss.detach()


def _difference(ours: tuple[Any, Any], stock: tuple[Any, Any], sample: dict[str, Any]) -> float:
    """Relative difference of the losses under one mask, without dropout."""
    losses = []
    for model, criterion in (ours, stock):
        model.eval()
        apply_mask = model.apply_mask
        model.apply_mask = partial(_same_mask, model)
        losses.append(float(_step(model, criterion, sample)))
        model.apply_mask = apply_mask
        model.train()
    return abs(losses[0] - losses[1]) / losses[1]


def _same_mask(model: Any, x: Tensor, _padding: Tensor, _targets: list[Tensor]) -> tuple[Tensor, Tensor]:
    mask = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(1)) < 0.5
    return torch.where(mask.unsqueeze(-1), model.mask_emb, x), mask
