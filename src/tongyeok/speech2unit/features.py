"""Stream feature frames of a manifest, utterance by utterance: MFCC, or one layer of a HuBERT checkpoint.

The flow never stores features: 670 h of HuBERT base features would be about 370 GB. `frame_store` is for studies.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from tongyeok.base.audio import Samples, read_location
from tongyeok.base.files import sha256
from tongyeok.base.manifests import Manifest
from tongyeok.engine.threads import in_order
from tongyeok.errors import CheckpointError, CorpusError, UnitError
from tongyeok.speech2unit.codebook import Codebook, Feature
from tongyeok.speech2unit.frame_store import FOLDER, StoredFrames
from tongyeok.speech2unit.mfcc import WINDOW, mfcc

CHECKPOINT = "checkpoint.pt"
GROUP = 16  # recordings that a GPU extracts together
Result = TypeVar("Result")


class Extractor(Protocol):
    """Something that turns one recording into feature frames."""

    @property
    def feature(self) -> Feature:
        """What kind of frames these are."""
        ...

    @property
    def layer(self) -> int | None:
        """1-based HuBERT layer, None for MFCC."""
        ...

    @property
    def checkpoint(self) -> str:
        """SHA-256 of the HuBERT checkpoint file, empty for MFCC."""
        ...

    @property
    def smoothing(self) -> int:
        """How many times `smooth` passes over the frames."""
        ...

    def extract(self, clips: Sequence[Samples]) -> list[Float[np.ndarray, "frames dim"]]:
        """Feature frames of each recording, float32."""
        ...


@dataclass(frozen=True, slots=True)
class MfccExtractor:
    """MFCC with deltas, 100 frames a second, after `margin` samples of silence on either side of the recording."""

    smoothing: int = 0
    margin: int = 0
    feature: Feature = "mfcc"
    layer: int | None = None
    checkpoint: str = ""

    def extract(self, clips: Sequence[Samples]) -> list[Float[np.ndarray, "frames dim"]]:
        """MFCC frames of each recording."""
        return [smooth(mfcc(np.pad(clip, self.margin)), times=self.smoothing) for clip in clips]


class HubertExtractor:
    """The output of one layer of a HuBERT checkpoint, 50 frames a second."""

    feature: Feature = "hubert"

    def __init__(self, path: Path, *, layer: int, smoothing: int = 0) -> None:
        """Load `path` up to the 1-based `layer`, on the GPU where there is one; or open its frames stored beside it."""
        from tongyeok.engine.features import FeatureReader  # noqa: PLC0415  reaches fairseq, which MFCC does not need

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.layer: int | None = layer
        self.smoothing = smoothing
        self.checkpoint = sha256(path)
        stored = path.parent / FOLDER / str(layer)
        self._reader = StoredFrames(stored) if stored.is_dir() else FeatureReader(path, layer=layer, device=device)

    def extract(self, clips: Sequence[Samples]) -> list[Float[np.ndarray, "frames dim"]]:
        """Exactly samples // 320 frames of each recording."""
        return [smooth(frames, times=self.smoothing) for frames in self._reader.extract_batch(clips)]


def smooth(frames: Float[np.ndarray, "frames dim"], *, times: int) -> Float[np.ndarray, "frames dim"]:
    """Pass a (1/4, 1/2, 1/4) filter over time, so many times; the first and last frame stand in for what is beyond.

    Frames of a HuBERT that has trained little also tell where in a phone they stand, and to which side of the sample
    grid they fell; smoothed, they tell less of that, and their units agree with phones better.
    """
    for _ in range(times):
        around = np.concatenate([frames[:1], frames, frames[-1:]])
        frames = (around[:-2] + around[2:]) / 4 + frames / 2
    return frames


def open_extractor(*, hubert: Path | None, layer: int | None, smoothing: int = 0) -> Extractor:
    """The extractor for a layer of the checkpoint in the folder `hubert`; MFCC where both are None.

    Raises:
        UnitError: a model without a layer, or a layer without a model.
        CheckpointError: the folder has no checkpoint.
    """
    if hubert is None and layer is None:
        return MfccExtractor(smoothing=smoothing)
    if hubert is None:
        raise UnitError(
            f"layer {layer} of HuBERT is wanted, but no --hubert is given; pass the folder of its checkpoint"
        )
    if layer is None:
        raise UnitError(f"--hubert {hubert}: MFCC features need no model; leave it out, or configure a layer")
    return HubertExtractor(_checkpoint(hubert), layer=layer, smoothing=smoothing)


def matching_extractor(codebook: Codebook, *, hubert: Path | None) -> Extractor:
    """The extractor of the features that `codebook` was fitted on.

    Raises:
        UnitError: `hubert` holds another checkpoint than the codebook's, or none is needed or given.
        CheckpointError: the folder has no checkpoint.
    """
    if hubert is not None and codebook.feature == "hubert":
        found = sha256(_checkpoint(hubert))
        if found != codebook.checkpoint:
            raise UnitError(
                f"{_checkpoint(hubert)}: sha256 {found[:12]}… is not the checkpoint that the codebook was fitted on, "
                f"{codebook.checkpoint[:12]}…; give that one, or run `kmeans` on this one"
            )
    return open_extractor(hubert=hubert, layer=codebook.layer, smoothing=codebook.smoothing)


def stream(
    manifest: Manifest, extractor: Extractor, *, description: str
) -> Iterator[tuple[str, Float[np.ndarray, "frames dim"]]]:
    """Each utterance with its frames, in the manifest's order; `work_through` tells how."""
    return work_through(manifest, extractor, lambda frames: frames, description=description)


def work_through(
    manifest: Manifest,
    extractor: Extractor,
    work: Callable[[Float[np.ndarray, "frames dim"]], Result],
    *,
    description: str | None,
) -> Iterator[tuple[str, Result]]:
    """Read, extract, and do `work` on the frames, utterance by utterance, in the manifest's order.

    On a CPU each utterance is one thread's from its bytes to the result, and as many as threads are pinned are under
    way side by side. On a GPU recordings are extracted in groups. `description` is what the progress bar says; without
    one there is no bar.

    Raises:
        CorpusError: a recording is unreadable, differs in length from the manifest, is too short for one frame, or
            gives features that are not finite.
    """
    size = GROUP if torch.cuda.is_available() else 1

    def of_group(first: int) -> list[tuple[str, Result]]:
        rows = range(first, min(first + size, len(manifest.utts)))
        features = extractor.extract([_read(manifest, row) for row in rows])
        return [(manifest.utts[row], work(_finite(frames, row))) for row, frames in zip(rows, features, strict=True)]

    def _finite(frames: Float[np.ndarray, "frames dim"], row: int) -> Float[np.ndarray, "frames dim"]:
        if not np.isfinite(frames).all():
            raise CorpusError(f"{manifest.utts[row]}: features are not finite; check the recording for NaN samples")
        return frames

    hidden = True if description is None else None  # None: where no one watches
    with tqdm(total=len(manifest.utts), desc=description, unit="utts", disable=hidden) as bar:
        for group in in_order(of_group, range(0, len(manifest.utts), size), workers=torch.get_num_threads()):
            bar.update(len(group))
            yield from group


def _read(manifest: Manifest, row: int) -> Samples:
    utt, count = manifest.utts[row], manifest.samples[row]
    samples = read_location(manifest.root, manifest.locations[row])
    if samples.size != count:
        raise CorpusError(f"{utt}: the manifest has {count} samples, its audio {samples.size}; rebuild `manifest`")
    if count < WINDOW:
        raise CorpusError(f"{utt}: {count} samples are less than one frame of {WINDOW}; raise `manifest.min_seconds`")
    return samples


def _checkpoint(hubert: Path) -> Path:
    path = hubert / CHECKPOINT
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; run the stage `hubert` first")
    return path
