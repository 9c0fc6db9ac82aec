"""Make `hifigan.npz`: what HiFi-GAN's own discriminators, losses and mels give for synthetic weights and waveforms.

The distribution matcha-tts carries the code of jik876/hifi-gan. Run in an environment of its own:

    python -m venv golden && golden/bin/pip install librosa==0.11.0 matplotlib torch==2.13.0
    golden/bin/pip install --no-deps matcha-tts==0.0.7.2
    golden/bin/python tests/parity/golden/hifigan.py

One shim: librosa has taken the arguments of `filters.mel` by name alone since 0.10, and HiFi-GAN gives them by place.
"""

import zlib
from pathlib import Path

import numpy as np

SEGMENT = 8960  # samples
REAL, MADE = ((110.0, 190.0), 0.005), ((113.0, 180.0), 0.02)  # pitches of the batch, noise


def waveforms() -> tuple[np.ndarray, np.ndarray]:
    """A batch of two "real" and two "made" waveforms: gliding harmonic tones, and the same out of tune and noisier."""
    random = np.random.default_rng(7)
    real, made = ([tone(pitch, noise, random) for pitch in pitches] for pitches, noise in (REAL, MADE))
    return np.stack(real), np.stack(made)


def tone(pitch: float, noise: float, random: np.random.Generator) -> np.ndarray:
    """Eleven harmonics of a rising pitch (Hz) and noise of that amplitude, together below full scale."""
    time = np.arange(SEGMENT) / 16_000
    phase = 2 * np.pi * (pitch * time + 40 * time**2)
    harmonics = 0.15 * sum(np.sin(k * phase) / k for k in range(1, 12))
    return (harmonics + noise * random.standard_normal(SEGMENT)).astype(np.float32)


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values for the parameter of that name in HiFi-GAN's checkpoints, of a size that keeps activations near one."""
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if name.endswith("weight_g"):
        return np.abs(values) + 0.5
    if name.endswith("bias"):
        return 0.1 * values
    return values / np.sqrt(np.prod(shape[1:])).astype(np.float32)


def singular_vectors(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors for spectral normalisation to measure the weight with."""
    matrix = weight.reshape(len(weight), -1)
    left = np.full(len(matrix), len(matrix) ** -0.5, dtype=np.float32)
    right = matrix.T @ left
    return left, right / np.linalg.norm(right)


def main() -> None:
    """Run HiFi-GAN's code and write what it gives."""
    import librosa.filters
    import torch

    by_name = librosa.filters.mel
    librosa.filters.mel = lambda sr, n_fft, n_mels, fmin, fmax: by_name(
        sr=sr, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax
    )
    from matcha.hifigan import models
    from matcha.hifigan.meldataset import mel_spectrogram

    def mels(samples: torch.Tensor) -> torch.Tensor:
        return mel_spectrogram(samples[:, 0], 1024, 80, 16_000, 256, 1024, 0, 8000)

    families = {"mpd": models.MultiPeriodDiscriminator().eval(), "msd": models.MultiScaleDiscriminator().eval()}
    for family, module in families.items():
        state = {name: weights(f"{family}.{name}", tuple(value.shape)) for name, value in module.state_dict().items()}
        for name in [name for name in state if name.endswith("weight_orig")]:
            left, right = singular_vectors(state[name])
            state |= {name.replace("weight_orig", "weight_u"): left, name.replace("weight_orig", "weight_v"): right}
        module.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})

    real, made = (torch.from_numpy(samples)[:, None] for samples in waveforms())
    made.requires_grad_()
    golden = {}
    judged = [module(real, made) for module in families.values()]
    scores_real, scores_made, features_real, features_made = ([x for one in judged for x in one[i]] for i in range(4))
    for number, (of_real, of_made) in enumerate(zip(scores_real, scores_made, strict=True)):
        golden |= {f"scores_real_{number}": of_real, f"scores_made_{number}": of_made}
    golden["discriminator_loss"] = models.discriminator_loss(scores_real, scores_made)[0]
    golden["generator_loss"] = models.generator_loss(scores_made)[0]
    golden["feature_loss"] = models.feature_loss(features_real, features_made)
    golden["mel_loss"] = 45 * torch.nn.functional.l1_loss(mels(real), mels(made))
    golden["total"] = golden["generator_loss"] + golden["feature_loss"] + golden["mel_loss"]
    (golden["gradient"],) = torch.autograd.grad(golden["total"], made)
    golden["log_mels"] = mels(real)
    np.savez_compressed(
        Path(__file__).with_suffix(".npz"), **{name: value.detach().numpy() for name, value in golden.items()}
    )


if __name__ == "__main__":
    main()
