"""The generator's interface: lengths, conditioning, and the fold of a language into biases."""

import copy

import numpy as np
import pytest
import torch

from tongyeok import config
from tongyeok.errors import ConfigError
from tongyeok.unit2speech.durations import duration_loss, to_frames
from tongyeok.unit2speech.fourier import DepthwiseConvolution, FourierConfig, FourierHead
from tongyeok.unit2speech.generator import Generator
from tongyeok.unit2speech.synthesis import build_generator

SMALL = {
    "head": "fourier", "width": 16, "layers": 2, "expansion": 2, "kernel": 7, "fft_samples": 1280, "looks": 1,
    "duration_dropout": 0.5,
}  # fmt: skip


def small(**changes: object) -> Generator:
    cfg = config.build(FourierConfig, {**SMALL, **changes}, where="test")
    generator = build_generator(cfg, clusters=10, languages=3, seed=1).eval()
    with torch.no_grad():
        generator.conditioning.language.weight.normal_(generator=torch.Generator().manual_seed(2))
        generator.durations.language.weight.normal_(generator=torch.Generator().manual_seed(3))
    return generator


def batch(frames: int, *, size: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(4)
    units = torch.randint(0, 10, (size, frames), generator=random)
    return units, torch.rand(size, 256, generator=random), torch.arange(size) % 3


@pytest.mark.parametrize("frames", [1, 2, 7, 50])
@pytest.mark.parametrize(("fft_samples", "looks"), [(1280, 1), (640, 1), (640, 2), (1280, 2)])
def test_samples_are_frames_times_hop(frames: int, fft_samples: int, looks: int) -> None:
    """Every unit frame gives exactly 320 samples, whatever the window and the number of transforms per frame."""
    assert small(fft_samples=fft_samples, looks=looks)(*batch(frames)).shape == (3, frames * 320)


def test_batch_is_single() -> None:
    """An utterance sounds the same alone and in a batch, to 1e-6."""
    generator = small()
    units, dvector, language = batch(20)
    together = generator(units, dvector, language)
    for row in range(len(units)):
        alone = generator(units[row : row + 1], dvector[row : row + 1], language[row : row + 1])
        assert (together[row] - alone[0]).abs().max() < 1e-6


def test_head_is_the_inverse_fourier_transform() -> None:
    """The head gives numpy's inverse transforms, windowed, overlapped, added, over the windows' power, to 1e-5."""
    head = FourierHead(width=16, fft_samples=1280, looks=1)
    frames = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(5))
    magnitude, phase = head.project(frames).chunk(2, dim=2)
    spectrum = torch.polar(magnitude.exp(), phase).detach().numpy()
    window = np.hanning(1281)[:-1]
    total, weight = np.zeros((2, 8 * 320 + 1280)), np.zeros(8 * 320 + 1280)
    for frame in range(9):
        total[:, frame * 320 :][:, :1280] += np.fft.irfft(spectrum[:, frame]) * window
        weight[frame * 320 :][:1280] += window**2
    expected = (total / np.maximum(weight, 1e-11))[:, 480:-480]
    assert np.abs(head(frames).detach().numpy() - expected).max() < 1e-5


def test_language_is_added_after_the_speaker() -> None:
    """A language's vector acts as a change of the speaker Linear's bias, and of nothing else."""
    generator = small()
    changed = copy.deepcopy(generator)
    with torch.no_grad():
        changed.conditioning.speaker.bias += generator.conditioning.language.weight[2]
        changed.conditioning.language.weight.zero_()
    units, dvector, _ = batch(20)
    made = generator.conditioning(units, dvector, torch.full((3,), 2))
    assert (made - changed.conditioning(units, dvector, torch.zeros(3, dtype=torch.long))).abs().max() < 1e-6


def test_folded_generator_is_the_languages_own() -> None:
    """Folding a language gives the same waveform and durations as asking for it, to 1e-6, for any index afterwards."""
    generator = small()
    units, dvector, _ = batch(20)
    for language in range(3):
        folded = copy.deepcopy(generator)
        folded.fold_language(language)
        asked, any_other = torch.full((3,), language), torch.tensor([0, 1, 2])
        assert (generator(units, dvector, asked) - folded(units, dvector, any_other)).abs().max() < 1e-6
        lengths = generator.log_durations(units, asked) - folded.log_durations(units, any_other)
        assert lengths.abs().max() < 1e-6


def test_durations_do_not_train_the_units() -> None:
    """The duration loss leaves the unit embeddings alone."""
    generator = small()
    units, _, language = batch(20)
    predicted = generator.log_durations(units, language)
    duration_loss(predicted, torch.ones_like(units), torch.ones_like(units, dtype=torch.bool)).backward()
    assert generator.conditioning.unit.weight.grad is None
    assert generator.durations.conv1.weight.grad is not None


def test_durations_are_rounded_and_at_least_one() -> None:
    """Frames are round(exp(x) - 1), never below 1."""
    logs = torch.log1p(torch.tensor([-0.9, 0.0, 0.4, 1.4, 1.6, 7.2]))
    assert to_frames(logs).tolist() == [1, 1, 1, 1, 2, 7]


def test_padding_does_not_count_in_the_duration_loss() -> None:
    """Codes that are padding do not change the loss."""
    predicted = torch.tensor([[1.0, 2.0, 99.0]])
    durations = torch.tensor([[1, 2, 0]])
    loss = duration_loss(predicted, durations, torch.tensor([[True, True, False]]))
    expected = (predicted[:, :2] - torch.log1p(durations[:, :2].float())).square().mean()
    assert torch.equal(loss, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": 6}, "kernel: expected an odd number of frames, got 6; take 7"),
        ({"looks": 3}, r"looks: expected a divisor of 320 \(samples per unit\), got 3"),
        ({"fft_samples": 1024}, r"fft_samples: expected a multiple of two hops \(640 samples\).*got 1024; take 1280"),
        ({"width": 0}, "width: expected at least 1, got 0"),
        ({"duration_dropout": 1.0}, "duration_dropout: expected 0 <= share < 1, got 1.0"),
        ({"head": "hifigan"}, "head"),
    ],
)
def test_impossible_dimensions_are_refused(change: dict[str, object], message: str) -> None:
    """Dimensions that cannot give 320 samples a unit are refused with the rule and a remedy."""
    with pytest.raises(ConfigError, match=message):
        small(**change)


def test_channels_side_by_side_change_nothing() -> None:
    """The depthwise convolution on frames, and its gradients, are those of `Conv1d` on channels, to 1e-5."""
    ours = DepthwiseConvolution(width=16, kernel=7)
    plain = torch.nn.Conv1d(16, 16, 7, padding=3, groups=16)
    plain.load_state_dict(ours.state_dict())
    frames = torch.randn(3, 20, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)
    slope = torch.randn(3, 20, 16, generator=torch.Generator().manual_seed(2))
    found = ours(frames), plain(frames.transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(*found, atol=1e-5)
    gradients = (
        torch.autograd.grad(made, (frames, *module.parameters()), slope)
        for made, module in zip(found, (ours, plain), strict=True)
    )
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_folded_sounds_alike() -> None:
    """Folded, the Fourier head makes the same waveform, to 1e-5."""
    generator = small()
    expected = generator(*batch(20)).detach()
    generator.fold()
    with torch.inference_mode():
        assert (generator(*batch(20)) - expected).abs().max() < 1e-5
    assert expected.std() > 1e-3
