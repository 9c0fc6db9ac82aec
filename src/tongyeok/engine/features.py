"""The door to HuBERT's features: a checkpoint and a layer in, arrays of frames out."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from tongyeok.base.audio import UNIT_HOP, Samples
from tongyeok.engine.threads import one_thread_each
from tongyeok.errors import CorpusError


class FeatureReader:
    """Reads one layer's output of a HuBERT checkpoint, 50 frames a second, computing nothing above that layer.

    Frames are those of fairseq's `HubertFeatureReader` for audio padded by 40 samples on either side, so that there are
    exactly samples // 320. Extraction has no state: one reader may serve several threads.
    """

    def __init__(self, checkpoint: Path, *, layer: int, device: str) -> None:
        """Load a fairseq HuBERT checkpoint without running code from it.

        Args:
            checkpoint: a file of the stage `hubert`, or any fairseq HuBERT with a hop of 320 samples at 16 kHz.
            layer: 1-based layer whose output is read.
            device: `cpu` or `cuda`.

        Raises:
            CheckpointError: the file is missing, unsafe, not such a HuBERT, or has fewer layers.
        """
        room: Any = import_module("tongyeok_fairseq.hubert_features")
        self._chunk = int(room.CHUNK_FRAMES) * UNIT_HOP
        self._side_by_side = one_thread_each(torch.get_num_threads()) if device == "cpu" else None
        # One thread loads it, too: the positional convolution's weight is normalised then, and sums depend on threads.
        with one_thread_each(1) as loading:
            self._encoder = loading.submit(room.Encoder, checkpoint, layer=layer, device=device).result()

    @property
    def width(self) -> int:
        """Dimensions of a frame."""
        return int(self._encoder.width)

    def extract(self, samples: Samples) -> Float[np.ndarray, "frames dim"]:
        """Frames of one recording, float32; recordings over 100 s are read in stretches, as the reference does.

        Raises:
            CorpusError: the recording is shorter than one frame.
        """
        _check(samples)
        stretches = [samples[start : start + self._chunk] for start in range(0, samples.size, self._chunk)]
        return np.concatenate([self._encoder.frames([part])[0] for part in stretches if part.size >= UNIT_HOP])

    def extract_unpadded(self, samples: Samples) -> Float[np.ndarray, "frames dim"]:
        """Frames of one recording without padding, exactly as fairseq's readers and dumps have them."""
        frames: Float[np.ndarray, "frames dim"] = self._encoder.unpadded_frames(samples)
        return frames

    def extract_batch(self, clips: Sequence[Samples]) -> list[Float[np.ndarray, "frames dim"]]:
        """Frames of several recordings: what `extract` gives for each, up to rounding.

        On a GPU they are computed together. On a CPU padding them into a batch is slower (the cache): each is computed
        by one thread, several side by side, and so to the same bits on any number of threads.

        Raises:
            CorpusError: a recording is shorter than one frame.
        """
        for clip in clips:
            _check(clip)
        if self._side_by_side is not None:
            return list(self._side_by_side.map(self.extract, clips))
        if any(clip.size > self._chunk for clip in clips):
            return [self.extract(clip) for clip in clips]
        return self.extract_together(clips)

    def extract_together(self, clips: Sequence[Samples]) -> list[Float[np.ndarray, "frames dim"]]:
        """Frames of several recordings from one pass, whatever the device."""
        frames: list[Float[np.ndarray, "frames dim"]] = self._encoder.frames(clips)
        return frames


def _check(samples: Samples) -> None:
    if samples.ndim != 1 or samples.size < UNIT_HOP:
        raise CorpusError(
            f"expected at least {UNIT_HOP} mono samples (one frame at 50 a second), got shape {samples.shape}; "
            "remove the recording"
        )
