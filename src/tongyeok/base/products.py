"""The number format of matrix products in training; parameters and their gradients stay float32."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

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


class OneDnnLinear(nn.Module):
    """A Linear on a CPU, for use without gradients, by the operation that `torch.compile` puts in a Linear's place.

    PyTorch's own Linear multiplies float32 by MKL, which takes twice as long as oneDNN on processors that are not
    Intel's. Results differ by rounding alone.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Float[Tensor, "*batch before"]) -> Float[Tensor, "*batch after"]:
        """The Linear's product and bias."""
        made: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")  # noqa: SLF001
        return made
