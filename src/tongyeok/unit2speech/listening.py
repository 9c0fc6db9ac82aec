"""How a vocoder does on utterances it has not learned from: figures, and samples to hear and see."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from tongyeok.base.audio import SAMPLE_RATE
from tongyeok.unit2speech.clips import Clip, Material, duration_batch
from tongyeok.unit2speech.durations import to_frames
from tongyeok.unit2speech.generator import Generator
from tongyeok.unit2speech.losses import SpectralLoss
from tongyeok.unit2speech.plots import draw_mels
from tongyeok.unit2speech.synthesis import UnitVocoder


@torch.inference_mode()
def mel_error(generator: Generator, distance: SpectralLoss, heard: Material) -> float:
    """Mean log-mel distance (natural logarithm) of clips resynthesised with true durations from their recordings."""
    generator.eval()
    device = next(generator.parameters()).device
    errors = []
    for clip, dvector in zip(heard.clips, heard.dvectors, strict=True):
        made = generator(
            torch.from_numpy(clip.units.astype(np.int64))[None].to(device),
            torch.from_numpy(dvector)[None].to(device),
            torch.tensor([clip.language], device=device),
        )
        errors.append(float(distance(made, torch.from_numpy(heard.recordings.whole(clip))[None].to(device)).mel))
    return float(np.mean(errors))


@torch.inference_mode()
def duration_errors(generator: Generator, clips: Sequence[Clip]) -> dict[str, float]:
    """`duration_error`: mean |predicted - true| frames per unit; `duration_ratio`: predicted / true total length."""
    generator.eval()
    device = next(generator.parameters()).device
    wrong = made = real = count = 0
    for clip in clips:
        batch = duration_batch([clip])
        frames = to_frames(generator.log_durations(batch.codes.to(device), batch.language.to(device))).cpu()
        wrong += int((frames - batch.durations).abs().sum())
        made, real, count = made + int(frames.sum()), real + clip.units.size, count + frames.numel()
    return {"duration_error": wrong / count, "duration_ratio": made / real}


def write_samples(folder: Path, vocoder: UnitVocoder, heard: Material, *, each: int) -> None:
    """Write `each` clips per language as `samples/<utt>-<version>.flac`, and their mels as `plots/mels-<utt>.png`.

    Versions: original, resynthesised with true durations, resynthesised with predicted durations.
    """
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    written = dict.fromkeys(range(len(vocoder.languages)), 0)
    for clip, dvector in zip(heard.clips, heard.dvectors, strict=True):
        written[clip.language] += 1
        if written[clip.language] > each:
            continue
        lang = vocoder.languages[clip.language]
        versions = {"original": heard.recordings.whole(clip)}
        for name, predict in (("true_durations", False), ("predicted_durations", True)):
            versions[name] = vocoder.synthesise(clip.units, dvector=dvector, lang=lang, predict_durations=predict)
        for name, samples in versions.items():
            soundfile.write(folder / "samples" / f"{clip.utt}-{name}.flac", samples, SAMPLE_RATE)
        draw_mels(folder / "plots" / f"mels-{clip.utt}.png", versions)
