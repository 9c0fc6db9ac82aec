"""The frame sample: seeded, uniform, bounded, independent of order."""

import numpy as np
import pytest

from tongyeok.errors import UnitError
from tongyeok.speech2unit.reservoir import SLACK, Reservoir


def _utterances(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"u{i}": np.full((int(rng.integers(1, 40)), 1), i, dtype=np.float32) for i in range(count)}


def _sample(utterances: dict[str, np.ndarray], *, size: int = 100, seed: int = 1) -> np.ndarray:
    reservoir = Reservoir(size, seed=seed)
    for utt, frames in utterances.items():
        reservoir.add(utt, frames)
    return reservoir.sample()


def test_order_of_utterances_does_not_matter() -> None:
    """The same utterances in any order give the same sample, byte for byte; another seed gives another."""
    utterances = _utterances(60)
    backwards = dict(reversed(utterances.items()))
    assert _sample(utterances).tobytes() == _sample(backwards).tobytes()
    assert _sample(utterances).tobytes() != _sample(utterances, seed=2).tobytes()


def test_few_frames_are_all_kept() -> None:
    """A stream shorter than the sample is kept whole."""
    utterances = _utterances(5)
    sample = _sample(utterances, size=10_000)
    np.testing.assert_array_equal(np.sort(sample, axis=0), np.concatenate(list(utterances.values())))


def test_every_frame_is_equally_likely() -> None:
    """Over many seeds each frame is drawn about as often as any other, whatever its utterance's length."""
    utterances = {
        "long": np.arange(90, dtype=np.float32)[:, None],
        "short": np.arange(90, 100, dtype=np.float32)[:, None],
    }
    drawn = np.concatenate([_sample(utterances, size=20, seed=seed)[:, 0] for seed in range(500)]).astype(int)
    counts = np.bincount(drawn, minlength=100)  # 100 expected, standard deviation 9
    assert 60 < counts.min() <= counts.max() < 145
    assert abs(counts[90:].mean() - 100) < 12


def test_memory_stays_bounded() -> None:
    """Never more than the sample and its slack is held, however long the stream."""
    reservoir = Reservoir(100, seed=0)
    for number in range(300):
        reservoir.add(f"u{number}", np.zeros((50, 1), np.float32))
        assert reservoir._held <= 100 + 100 // SLACK
    assert reservoir.seen == 15_000
    assert reservoir.sample().shape == (100, 1)


def test_nothing_to_sample_is_an_error() -> None:
    """An empty stream is refused."""
    with pytest.raises(UnitError, match="the split is empty"):
        Reservoir(10, seed=0).sample()
