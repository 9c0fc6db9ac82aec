"""The number format of matrix products in training; parameters, sums and norms stay float32."""

from typing import Literal

import torch

Products = Literal["float32", "bfloat16"]


def autocast(device: torch.device, products: Products) -> torch.autocast:
    """Multiply matrices in `products` inside this context; processors without bfloat16 keep to float32."""
    able = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001  no public question yet
    return torch.autocast(device.type, torch.bfloat16, enabled=able and products == "bfloat16")
