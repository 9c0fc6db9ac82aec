"""Float32 products of matrices on a CPU by oneDNN, which torch uses for convolutions but not for products.

torch hands float32 products to MKL. On AMD's processors MKL leaves half of what they can do: measured on one core of an
EPYC with AVX-512, 94 GFLOP/s of MKL against 180 to 205 of oneDNN; on Intel's the two are equally fast.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Linear(nn.Module):
    """A fixed weight and bias for many products `x @ weight.T + bias`, without gradients."""

    def __init__(self, weight: Float[Tensor, "after before"], bias: Float[Tensor, " after"]) -> None:
        """Lay `weight` out for oneDNN; where torch is built without it, torch's own product is used."""
        super().__init__()
        self._fast = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        sides = (weight.detach().float(), bias.detach().float())
        self._weight, self._bias = [side.to_mkldnn() for side in sides] if self._fast else sides

    def forward(self, x: Float[Tensor, "*batch before"]) -> Float[Tensor, "*batch after"]:
        """The product, up to rounding that of `torch.nn.functional.linear`."""
        if not self._fast:
            return functional.linear(x, self._weight, self._bias)
        product: Tensor = functional.linear(x.to_mkldnn(), self._weight, self._bias).to_dense()
        return product
