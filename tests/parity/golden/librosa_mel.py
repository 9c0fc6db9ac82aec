"""Make `librosa_mel.npz`: what librosa's mels and the untouched resemblyzer package give for one synthetic signal.

Run in an environment of its own, since the project needs neither package at run time:

    python -m venv golden && golden/bin/pip install librosa==0.11.0 webrtcvad-wheels torch
    golden/bin/pip install --no-deps resemblyzer==0.1.4 typing
    golden/bin/python tests/parity/golden/librosa_mel.py
"""

from pathlib import Path

import librosa
import numpy as np
from resemblyzer import VoiceEncoder, normalize_volume
from resemblyzer.hparams import audio_norm_target_dBFS


def signal() -> np.ndarray:
    """4.2 s of a quiet gliding harmonic tone with a little noise, 16 bits at 16 kHz."""
    time = np.arange(67_200) / 16_000
    phase = 2 * np.pi * (110 * time + 15 * time**2)
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    noise = np.random.default_rng(5).standard_normal(time.size)
    return np.round(32768 * (0.01 * tone * (1 + np.sin(2 * np.pi * 3 * time)) + 1e-4 * noise)).astype(np.int16)


encoder = VoiceEncoder("cpu", verbose=False)
lengths = np.array([12_800, 32_000, 46_400, 67_200])
quiet = signal().astype(np.float32) / 32768
clips = [normalize_volume(quiet[:length], audio_norm_target_dBFS, increase_only=True) for length in lengths]
np.savez_compressed(
    Path(__file__).with_suffix(".npz"),
    signal=signal(),
    lengths=lengths,
    filters_40=librosa.filters.mel(sr=16_000, n_fft=400, n_mels=40),
    filters_80=librosa.filters.mel(sr=16_000, n_fft=1024, n_mels=80),
    mels=librosa.feature.melspectrogram(y=quiet[:12_800], sr=16_000, n_fft=400, hop_length=160, n_mels=40),
    dvectors=np.stack([encoder.embed_utterance(clip) for clip in clips]),
)
