"""The spectral distance."""

import torch

from tongyeok.unit2speech.losses import RESOLUTIONS, SpectralLoss


def noise(seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(2, 6400, generator=torch.Generator().manual_seed(seed))


def test_a_waveform_is_at_no_distance_from_itself() -> None:
    """The distance of equal waveforms is exactly 0, and that of different ones is not."""
    distance = SpectralLoss(mel_weight=1.0, magnitude_weight=1.0)
    assert distance(noise(1), noise(1)).total == 0
    assert distance(noise(1), noise(2)).total > 0.1


def test_phase_is_not_heard_but_level_is() -> None:
    """Turning a waveform upside down costs nothing; halving it costs log 2 in log mels."""
    distance = SpectralLoss(mel_weight=1.0, magnitude_weight=1.0)
    assert distance(-noise(1), noise(1)).total < 1e-5
    halved = distance(0.5 * noise(1), noise(1)).mel
    assert abs(float(halved) - 0.6931) < 1e-3


def test_silence_gives_finite_gradients() -> None:
    """Digital silence, made or real, gives finite losses and gradients."""
    distance = SpectralLoss(mel_weight=1.0, magnitude_weight=1.0)
    for made, real in ((torch.zeros(1, 6400), noise(1)[:1]), (noise(1)[:1], torch.zeros(1, 6400))):
        made.requires_grad_()
        loss = distance(made, real).total
        loss.backward()
        assert torch.isfinite(loss)
        assert made.grad is not None
        assert torch.isfinite(made.grad).all()


def test_weights_weigh() -> None:
    """The total is the weighted sum of its two parts."""
    mel = SpectralLoss(mel_weight=1.0, magnitude_weight=0.0)(noise(1), noise(2))
    magnitude = SpectralLoss(mel_weight=0.0, magnitude_weight=1.0)(noise(1), noise(2))
    both = SpectralLoss(mel_weight=2.0, magnitude_weight=3.0)(noise(1), noise(2))
    assert torch.equal(mel.total, mel.mel)
    assert torch.allclose(both.total, 2 * mel.total + 3 * magnitude.total)


def plain_magnitudes(samples: torch.Tensor, window: int, hop: int) -> torch.Tensor:
    """By PyTorch's own transform and derivative."""
    hann = torch.hann_window(window, dtype=samples.dtype)
    spectrum = torch.stft(samples, window, hop, window=hann, return_complex=True)
    return spectrum.abs().transpose(1, 2)


def test_magnitudes_and_their_gradient_are_pytorchs() -> None:
    """At every resolution magnitudes equal `torch.stft`'s and gradients its derivative's, to 1e-5 of the largest."""
    distance = SpectralLoss(mel_weight=1.0, magnitude_weight=1.0)
    for number, resolution in enumerate(RESOLUTIONS):
        found, gradients = [], []
        for magnitudes in (
            lambda samples, number=number: distance._magnitudes(samples, number),
            lambda samples, resolution=resolution: plain_magnitudes(samples, resolution.window, resolution.hop),
        ):
            samples = noise(1).requires_grad_()
            made = magnitudes(samples)
            weights = torch.rand(made.shape, generator=torch.Generator().manual_seed(3))
            gradients.append(torch.autograd.grad((weights * made.log()).sum(), samples)[0])
            found.append(made.detach())
        for ours, theirs in (found, gradients):
            difference = float((ours - theirs).abs().max() / theirs.abs().max())
            assert difference < 1e-5, f"{resolution}: largest difference {difference}"
