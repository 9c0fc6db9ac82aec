"""Dropout whose mask takes a random byte an element on CPUs, where torch draws a number an element."""

import torch
import torch.nn.functional as F  # noqa: N812  torch's convention
from torch import Tensor


def dropout(x: Tensor, p: float, *, training: bool) -> Tensor:
    """Dropout whose probability is rounded to 1/256 on CPUs, where one random byte decides an element."""
    if p == 0 or not training:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    return x * _noise(x, p)


def add_dropped(residual: Tensor, x: Tensor, p: float, *, training: bool) -> Tensor:
    """`residual + dropout(x)`."""
    if p == 0 or not training or x.device.type != "cpu":
        return residual + dropout(x, p, training=training)
    return torch.addcmul(residual, x, _noise(x, p))


def _noise(x: Tensor, p: float) -> Tensor:
    dropped = round(p * 256)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
    return kept.to(x.dtype).mul_(256 / (256 - dropped))
