"""Threads side by side."""

import threading
from collections.abc import Iterator

import pytest
import torch

from tongyeok.engine.threads import AHEAD, in_order


def test_results_come_in_the_items_order() -> None:
    """Whatever finishes first, results come in order, each from a thread in which torch has one thread."""
    first = threading.Event()

    def slow_first(item: int) -> tuple[int, int]:
        if item == 0:
            assert first.wait(timeout=10)
        if item == 1:
            first.set()
        return item, torch.get_num_threads()

    assert list(in_order(slow_first, range(20), workers=2)) == [(item, 1) for item in range(20)]


def test_work_runs_only_a_little_ahead() -> None:
    """Items are taken as results are asked for, so that a long list does not fill the memory."""
    taken = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_order(lambda item: item, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= AHEAD * 2 + 1
    results.close()  # type: ignore[attr-defined]


def test_an_error_comes_out_at_its_place() -> None:
    """What a worker raises is raised where its result would have come."""

    def odd(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    results = in_order(odd, range(10), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
