"""The HiFi-GAN generator behind the interface of every unit vocoder."""

import copy

import numpy as np
import pytest
import torch

from tongyeok.errors import ConfigError
from unit.unit2speech.small_hifigan import dimensions, vocoder


def batch(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(4)
    units = torch.randint(0, 10, (3, frames), generator=random)
    return units, torch.rand(3, 256, generator=random), torch.tensor([0, 1, 0])


@pytest.mark.parametrize("frames", [1, 2, 7, 28])
def test_samples_are_frames_times_hop(frames: int) -> None:
    """Every unit frame gives exactly 320 samples, within full scale."""
    samples = vocoder().generator(*batch(frames))
    assert samples.shape == (3, frames * 320)
    assert samples.abs().max() <= 1


@pytest.mark.parametrize(("rates", "kernels"), [([8, 5, 4, 2], [16, 11, 8, 4]), ([10, 8, 2, 2], [20, 16, 4, 4])])
def test_any_rates_of_the_right_product_do(rates: list[int], kernels: list[int]) -> None:
    """Other factors of 320 give the same number of samples."""
    assert vocoder(upsample_rates=rates, upsample_kernels=kernels).generator(*batch(3)).shape == (3, 960)


def test_batch_is_single() -> None:
    """An utterance sounds the same alone and in a batch, to 1e-6."""
    generator = vocoder().generator
    units, dvector, language = batch(20)
    together = generator(units, dvector, language)
    for row in range(len(units)):
        alone = generator(units[row : row + 1], dvector[row : row + 1], language[row : row + 1])
        assert (together[row] - alone[0]).abs().max() < 1e-6


def test_folded_generator_is_the_languages_own() -> None:
    """Folding a language gives the waveform and durations of asking for it, to 1e-6, and languages do differ."""
    generator = vocoder().generator
    units, dvector, _ = batch(20)
    english, korean = torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.long)
    folded = copy.deepcopy(generator)
    folded.fold_language(1)
    asked = generator(units, dvector, korean)
    assert (asked - folded(units, dvector, english)).abs().max() < 1e-6
    assert (asked - generator(units, dvector, english)).abs().max() > 1e-4
    assert (generator.log_durations(units, korean) - folded.log_durations(units, english)).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"upsample_rates": [8, 8, 2, 2], "upsample_kernels": [16, 16, 4, 4]},
            r"a product of 320, since units come 50 times a second.*product 256: speech would .* hop_length of 256",
        ),
        ({"upsample_rates": []}, r"upsample_rates: expected a product of 320.*got \[\] with product 1"),
        ({"upsample_kernels": [11, 8, 8, 4]}, "upsample_kernels: expected one for each of 5 upsample_rates, got 4"),
        ({"upsample_kernels": [10, 8, 8, 4, 4]}, "at least the rate 5 and an even number more.*got 10; take 11"),
        ({"upsample_kernels": [11, 8, 8, 4, 1]}, "at least the rate 2 and an even number more.*got 1; take 4"),
        ({"initial_channels": 48}, "initial_channels: expected a multiple of 32, halved 5 times, got 48"),
        ({"resblock_kernels": [3, 7, 10]}, r"resblock_kernels: expected odd numbers, got \[3, 7, 10\]"),
        ({"resblock_kernels": [3, 7]}, "resblock_dilations: expected 3 for each of 2 resblock_kernels"),
        ({"resblock_dilations": [[1, 3], [1, 3], [1, 3]]}, "resblock_dilations: expected 3 for each of 3"),
        ({"duration_dropout": 1.0}, r"duration_dropout: expected 0 <= share < 1, got 1\.0"),
        ({"head": "fourier"}, "head"),
        ({"width": 16}, "unknown field `width`"),
    ],
)
def test_impossible_dimensions_are_refused(change: dict[str, object], message: str) -> None:
    """Dimensions that cannot give 320 samples a unit, or that nobody could load, are refused with the rule."""
    with pytest.raises(ConfigError, match=message):
        dimensions(**change)


def test_folded_speaks_alike() -> None:
    """With its norms folded a vocoder says the same, to 1e-6, and the one that it was made of can still be saved."""
    made = vocoder()
    names = set(made.generator.state_dict())
    units, dvector = np.array([3, 3, 7, 1, 9, 0], dtype=np.int32), np.full(256, 1 / 16, dtype=np.float32)
    folded = made.folded()
    one, other = (
        each.synthesise(units, dvector=dvector, lang="ko", predict_durations=False) for each in (made, folded)
    )
    assert one.std() > 1e-3
    assert np.abs(one - other).max() < 1e-6
    assert not any("parametrizations" in name for name in folded.generator.state_dict())
    assert set(made.generator.state_dict()) == names
