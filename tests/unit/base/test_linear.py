"""Products by oneDNN."""

import pytest
import torch
from torch.nn import functional

from tongyeok.base.linear import Linear

TOLERANCE = 1e-5  # relative to the outputs' standard deviation, float32


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_the_product_is_torchs(rows: int) -> None:
    """Up to rounding, the product is that of torch's own linear layer, and inputs stay as they are."""
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(shape, generator=generator) for shape in ((24, 40), (24,), (rows, 40)))
    kept = x.clone()
    expected = functional.linear(x, weight, bias)
    largest = float((Linear(weight, bias)(x) - expected).abs().max() / expected.std())
    assert largest < TOLERANCE
    assert torch.equal(x, kept)


def test_without_onednn_torch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that is built without oneDNN gives its own product, to the bit."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    weight, bias, x = torch.randn(3, 5), torch.randn(3), torch.randn(2, 5)
    assert torch.equal(Linear(weight, bias)(x), functional.linear(x, weight, bias))
