"""The monitor tells a divergence from noise."""

import numpy as np
import pytest

from tongyeok.errors import TrainingError
from tongyeok_fairseq.steady import MOST_SKIPPED, DivergedError, Monitor


def _feed(monitor: Monitor, losses: list[float], *, start: int = 0) -> None:
    for step, loss in enumerate(losses, start=start + 1):
        monitor.watch(step=step, loss=loss, norm=1.0, lr=1e-3)


def _falling(updates: int, seed: int = 0) -> list[float]:
    noise = np.random.default_rng(seed).normal(1, 0.05, updates)
    return list((3 + 5 * np.exp(-np.arange(updates) / 100)) * noise)


def test_a_falling_noisy_loss_is_no_divergence() -> None:
    """Five per cent of noise on a falling loss never raises."""
    _feed(Monitor(), _falling(2000))


def test_a_jump_that_stays_is_noticed_within_ten_updates() -> None:
    """The origin's failure, a jump of the loss from 4.7 to 8.3, is named with step, loss, norm, rate and remedy."""
    monitor = Monitor()
    _feed(monitor, [4.7] * 200)
    with pytest.raises(DivergedError) as caught:
        _feed(monitor, [8.3] * 10, start=200)
    assert 200 < caught.value.step <= 210
    for part in ("loss 8.300", "median of 4.700", "gradient norm 1", "learning rate 0.001", "lower it"):
        assert part in str(caught.value)


def test_a_single_bad_batch_is_no_divergence() -> None:
    """A spike of one update passes."""
    monitor = Monitor()
    _feed(monitor, [4.7] * 200)
    _feed(monitor, [50.0], start=200)
    _feed(monitor, [4.7] * 50, start=201)


def test_its_state_survives_a_checkpoint() -> None:
    """A restored monitor raises exactly where the original does."""
    losses, step = _falling(300) + [9.0] * 50, 302
    whole, first, second = Monitor(), Monitor(), Monitor()
    with pytest.raises(DivergedError) as expected:
        _feed(whole, losses)
    _feed(first, losses[:step])
    second.restore(first.state())
    with pytest.raises(DivergedError) as found:
        _feed(second, losses[step:], start=step)
    assert (found.value.step, str(found.value)) == (expected.value.step, str(expected.value))


def test_gradients_that_are_never_finite_stop_the_training() -> None:
    """More than twenty dropped updates running are an error; a finite one in between starts the count anew."""
    monitor = Monitor()
    for _ in range(3):
        for step in range(MOST_SKIPPED):
            monitor.skip(step=step, lr=1e-3)
        monitor.watch(step=MOST_SKIPPED, loss=1.0, norm=1.0, lr=1e-3)
    for step in range(MOST_SKIPPED):
        monitor.skip(step=step, lr=1e-3)
    with pytest.raises(TrainingError, match=r"gradient not finite in 21 updates running, up to update 20"):
        monitor.skip(step=MOST_SKIPPED, lr=1e-3)
