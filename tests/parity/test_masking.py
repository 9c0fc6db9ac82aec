"""Masked spans against BART's noise in fairseq, with UTUT's one change to it."""

from typing import Any

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from tongyeok.engine.translation import Masking
from tongyeok_fairseq.translation_task import draw_spans, mask_spans

MASKING = Masking(share=0.3, span_mean=10.0)
UNITS, MASK = 50, 60
SENTENCES, LENGTH = 1000, 103


class Recorded:
    """A random generator that keeps what it drew."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.lengths: list[np.ndarray] = []
        self.order = np.zeros(0, dtype=np.int64)

    def poisson(self, mean: float, size: int) -> np.ndarray:
        """Lengths of spans."""
        self.lengths.append(self._rng.poisson(mean, size=size))
        return self.lengths[-1]

    def permutation(self, count: int) -> np.ndarray:
        """Places of spans."""
        self.order = self._rng.permutation(count)
        return self.order


def _stock() -> Any:
    """fairseq's noise as UTUT sets it: each unit keeps its place, and an empty span inserts no mask."""
    from fairseq.data import DenoisingDataset, Dictionary

    class Utut(DenoisingDataset):  # type: ignore[misc]
        def add_insertion_noise(self, tokens: torch.Tensor, _p: float) -> torch.Tensor:
            return tokens

    options = dict.fromkeys(("shuffle", "mask_random", "insert", "rotate", "permute_sentences"), 0)
    return Utut(
        *([], [], Dictionary(), MASK, None),
        **options,
        seed=1,
        mask=MASKING.share,
        bpe=None,
        replace_length=-1,
        mask_length="span-poisson",
        poisson_lambda=MASKING.span_mean,
    )


def _sentence(length: int) -> torch.Tensor:
    return torch.arange(length) % UNITS + 4


@pytest.mark.parametrize("length", [4, 7, 40, LENGTH])
def test_the_same_draws_mask_the_same_units(
    length: int, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Given the lengths and places that we drew, fairseq's `add_whole_word_mask` returns our tokens."""
    stock, different = _stock(), 0
    for seed in range(100):
        drawn = Recorded(seed)
        starts, lengths = draw_spans(length, MASKING, drawn)  # type: ignore[arg-type]
        ours = mask_spans(_sentence(length), starts, lengths, mask=MASK)

        class Drawn:
            waiting = iter(drawn.lengths)

            def sample(self, sample_shape: tuple[int]) -> torch.Tensor:
                lengths = torch.from_numpy(next(self.waiting).copy())
                assert lengths.shape == sample_shape
                return lengths

        stock.mask_span_distribution = Drawn()
        with monkeypatch.context() as patched:
            patched.setattr(torch, "randperm", lambda _count, order=drawn.order: torch.from_numpy(order))
            theirs = stock.add_whole_word_mask(_sentence(length), MASKING.share)
        different += not torch.equal(ours, theirs)
    compared(
        record_property,
        tool="fairseq's `DenoisingDataset.add_whole_word_mask`, without insertions as in UTUT",
        source=f"masked spans, 100 sentences of {length} tokens, the same draws",
        result=f"sentences that differ: {different}",
    )
    assert not different


def _statistics(masked: list[torch.Tensor]) -> tuple[float, float]:
    """Masked share between first and last token, and runs of masks a sentence."""
    grid = torch.stack(masked).eq(MASK)
    runs = (grid[:, 1:] & ~grid[:, :-1]).sum() / len(masked)
    return float(grid[:, 1:-1].float().mean()), float(runs)


def test_our_own_draws_are_distributed_alike(record_property: Record) -> None:
    """Over 1,000 sentences of 101 units, masked share agrees within 0.01 and runs of masks a sentence within 0.15."""
    stock = _stock()
    ours = [
        mask_spans(_sentence(LENGTH), *draw_spans(LENGTH, MASKING, np.random.default_rng([1, row])), mask=MASK)
        for row in range(SENTENCES)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        theirs = [stock.add_whole_word_mask(_sentence(LENGTH), MASKING.share) for _ in range(SENTENCES)]
    (share, runs), (their_share, their_runs) = _statistics(ours), _statistics(theirs)
    compared(
        record_property,
        tool="fairseq's `DenoisingDataset`, without insertions as in UTUT",
        source=f"masked spans, {SENTENCES:,} sentences of {LENGTH} tokens, draws of each",
        result=f"masked share {share:.4f} and {their_share:.4f}, runs a sentence {runs:.3f} and {their_runs:.3f}",
    )
    assert 0.2 < share < 0.3
    assert abs(share - their_share) < 0.01
    assert abs(runs - their_runs) < 0.15
