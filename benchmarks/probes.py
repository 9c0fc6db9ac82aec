"""What this machine can do at most, measured in the process that measures the paths."""

import time

import torch

SIDE = 1536


def gemm_peak() -> float:
    """Float32 operations a second of oneDNN's product of two large matrices on the threads at hand."""
    from tongyeok.base.linear import Linear  # noqa: PLC0415  the fastest product that torch offers here

    weight = Linear(torch.randn(SIDE, SIDE), torch.zeros(SIDE))
    x = torch.randn(SIDE, SIDE)
    best = min(_seconds(weight, x) for _ in range(5))
    return 2 * SIDE**3 / best


def _seconds(product: object, x: torch.Tensor) -> float:
    started = time.perf_counter()
    product(x)  # type: ignore[operator]
    return time.perf_counter() - started
