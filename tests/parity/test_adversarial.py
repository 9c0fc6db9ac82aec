"""Discriminators, losses and mels are HiFi-GAN's own. Golden values: `tests/parity/golden/hifigan.py`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from parity.golden import hifigan
from parity.record import Record, compared
from tongyeok.unit2speech.adversarial import AdversarialConfig, Contest
from tongyeok.unit2speech.clips import Batch
from tongyeok.unit2speech.discriminators import Discriminators, build_discriminators
from tongyeok.unit2speech.mel import LogMel, LogMelConfig

GOLDEN = Path(__file__).parent / "golden" / "hifigan.npz"
MEL = LogMelConfig(bands=80, fft_samples=1024, window_samples=1024, hop_samples=256, low_hz=0.0, high_hz=8000.0)
THEIRS = (
    ("parametrizations.weight.original0", "weight_g"),
    ("parametrizations.weight.original1", "weight_v"),
    ("parametrizations.weight.original", "weight_orig"),
)


@pytest.fixture(scope="module")
def golden() -> Iterator[dict[str, np.ndarray]]:
    """What HiFi-GAN's code gave."""
    with np.load(GOLDEN) as values:
        yield dict(values)


def fill(discriminators: Discriminators) -> None:
    """Give the discriminators, at full size, the weights that the golden values were made with."""
    state = discriminators.state_dict()
    for name, tensor in state.items():
        theirs = name
        for ours, reference in THEIRS:
            theirs = theirs.replace(ours, reference)
        if not name.endswith(("._u", "._v")):
            tensor.copy_(torch.from_numpy(hifigan.weights(theirs, tuple(tensor.shape))))
    for name, tensor in state.items():
        if name.endswith("weight.original"):
            for buffer, values in zip(("0._u", "0._v"), hifigan.singular_vectors(tensor.numpy()), strict=True):
                state[name.removesuffix("original") + buffer].copy_(torch.from_numpy(values))


class Recorded(torch.nn.Module):
    """Stands for a generator: says the same whatever it is asked."""

    def __init__(self, samples: np.ndarray) -> None:
        super().__init__()
        self.samples = torch.nn.Parameter(torch.from_numpy(samples))

    def forward(self, *_asked: torch.Tensor) -> torch.Tensor:
        """Samples, (batch, samples)."""
        return self.samples * 1


def test_discriminators_are_hifigans(golden: dict[str, np.ndarray], record_property: Record) -> None:
    """Given the same weights, every score of the eight discriminators is HiFi-GAN's, to 1e-5."""
    made = build_discriminators(shrink=1, seed=1).eval()
    fill(made)
    largest = 0.0
    for kind, samples in zip(("real", "made"), hifigan.waveforms(), strict=True):
        with torch.inference_mode():
            verdicts = made(torch.from_numpy(samples))
        for number, verdict in enumerate(verdicts):
            expected = golden[f"scores_{kind}_{number}"]
            assert verdict.scores.shape == expected.shape
            difference = np.abs(verdict.scores.numpy() - expected).max()
            assert difference < 1e-5, f"{kind}, discriminator {number}: largest difference {difference}"
            largest = max(largest, float(difference))
    compared(
        record_property,
        tool="jik876/hifi-gan's discriminators (matcha-tts)",
        source="golden values: 2 real and 2 made waveforms",
        result=f"largest difference of a score {largest:.1e}",
    )


def test_losses_are_hifigans(golden: dict[str, np.ndarray], record_property: Record) -> None:
    """The discriminators' loss, the generator's and its gradient at every sample are HiFi-GAN's, to 1e-5 of each."""
    real, made = hifigan.waveforms()
    generator = Recorded(made)
    cfg = AdversarialConfig(discriminator_shrink=1, feature_weight=2.0, learning_rate_decay=0.999, mel=MEL)
    match = Contest(cfg, mel_weight=45.0, generator=generator, products="float32", seed=1)  # type: ignore[arg-type]
    match.discriminators.eval()
    fill(match.discriminators)
    unused = torch.zeros(2, 28, dtype=torch.long)
    batch = Batch(units=unused, dvector=unused, language=unused, samples=torch.from_numpy(real))
    judged = float(match.judge(batch).detach())
    assert judged == pytest.approx(float(golden["discriminator_loss"]), rel=1e-5)
    total = match.speak()
    assert float(total.detach()) == pytest.approx(float(golden["total"]), rel=1e-5)
    total.backward()
    assert generator.samples.grad is not None
    expected = golden["gradient"][:, 0]
    difference = np.abs(generator.samples.grad.numpy() - expected).max() / np.abs(expected).max()
    compared(
        record_property,
        tool="jik876/hifi-gan's losses (matcha-tts)",
        source="golden values: the same waveforms",
        result=f"gradient towards the samples equal to {difference:.1e} of its largest value",
    )
    assert difference < 1e-5, f"largest difference of the gradient {difference} of its largest value"


def test_log_mels_are_hifigans(golden: dict[str, np.ndarray], record_property: Record) -> None:
    """Log mels equal HiFi-GAN's `mel_spectrogram` to 1e-4, one frame for each hop."""
    real, _ = hifigan.waveforms()
    made = LogMel(MEL)(torch.from_numpy(real)).numpy()
    assert made.shape == golden["log_mels"].shape == (2, 80, 8960 // 256)
    difference = np.abs(made - golden["log_mels"]).max()
    compared(
        record_property,
        tool="jik876/hifi-gan's `mel_spectrogram` (matcha-tts)",
        source="golden values: 2 waveforms",
        result=f"largest difference of a log mel {difference:.1e}",
    )
    assert difference < 1e-4, f"largest difference {difference}"
