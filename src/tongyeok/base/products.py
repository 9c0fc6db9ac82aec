"""The number format of matrix products in training; parameters and their gradients stay float32."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Products = Literal["float32", "bfloat16"]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for products of bfloat16; elsewhere they are slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001  has no public name yet


def autocast(device: torch.device, products: Products) -> torch.autocast:
    """Multiply matrices in `products` inside this context; processors without bfloat16 keep to float32."""
    enabled = products == "bfloat16" and multiplies_bfloat16(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@contextmanager
def fast_products() -> Iterator[None]:
    """Let float32 products on CPUs go through oneDNN instead of MKL inside this context: twice as fast on AMD's.

    The setting that does so allows more than is wanted: with AMX, oneDNN would round factors to bfloat16. Processors
    that have it are left with MKL, which is at its best on them.
    """
    setting = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = setting.fp32_precision
    if not torch.cpu._is_amx_tile_supported():  # noqa: SLF001  has no public name yet
        setting.fp32_precision = "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before
