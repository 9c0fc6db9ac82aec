"""Pictures of a vocoder's training, for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from tongyeok.base.audio import SAMPLE_RATE, Samples
from tongyeok.unit2speech.mel import MelSpectrogram

FLOOR = 1e-7  # of mel power, for the logarithm


def draw_curves(path: Path, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """One panel per training, one line per figure, over updates."""
    figure = Figure(figsize=(5 * len(curves), 3.5), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (name, rows) in zip(panels, curves.items(), strict=True):
        for key in rows[0] if rows else ():
            if key != "step":
                panel.plot([row["step"] for row in rows], [row[key] for row in rows], label=key)
        panel.set(title=name, xlabel="updates")
        panel.legend()
    _save(figure, path)


def draw_mels(path: Path, versions: Mapping[str, Samples]) -> None:
    """Log-mel pictures of the same utterance, one below the other."""
    spectrogram = MelSpectrogram(sample_rate=SAMPLE_RATE, fft_samples=400, hop=160, mels=80)
    figure = Figure(figsize=(8, 2 * len(versions)), layout="constrained")
    panels = figure.subplots(len(versions), 1, squeeze=False)[:, 0]
    for panel, (name, samples) in zip(panels, versions.items(), strict=True):
        mels = spectrogram(torch.from_numpy(samples)).clamp(min=FLOOR).log().numpy()
        seconds = samples.size / SAMPLE_RATE
        panel.imshow(mels, origin="lower", aspect="auto", extent=(0, seconds, 0, len(mels)), vmin=np.log(FLOOR))
        panel.set(title=name, ylabel="mel band")
    panels[-1].set(xlabel="seconds")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
