"""What this machine can do at most, measured in the process that measures the paths."""

import time

import torch

from tongyeok.base.products import fast_products

SIDE = 2048


def gemm_peak(dtype: torch.dtype = torch.float32) -> float:
    """Operations a second of a product of two large matrices, torch's fastest, on the threads at hand."""
    left, right = torch.randn(SIDE, SIDE).to(dtype), torch.randn(SIDE, SIDE).to(dtype)
    times = []
    with fast_products():
        for _ in range(7):
            started = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - started)
    return 2 * SIDE**3 / min(times)
