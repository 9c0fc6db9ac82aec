"""Feature frames of one HuBERT layer on disk, for those who cluster the same recordings again and again.

The flow itself streams features and stores none. A study extracts them once per checkpoint and layer, beside a copy of
the checkpoint; `HubertExtractor` then reads them instead of computing, and every byte downstream is the same.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from tongyeok.base.audio import UNIT_HOP, Samples, read_location
from tongyeok.base.files import write_text
from tongyeok.base.manifests import Manifest
from tongyeok.engine.threads import in_order
from tongyeok.errors import CheckpointError

FOLDER = "frames"  # beside the checkpoint; one folder a layer below it
FRAMES, INDEX = "frames.npy", "index.tsv"

Extract = Callable[[Sequence[Samples]], list[Float[np.ndarray, "frames dim"]]]


class StoredFrames:
    """Frames by the recording's samples, read from a memory map; it may serve several threads."""

    def __init__(self, folder: Path) -> None:
        """Open what `store_frames` wrote.

        Raises:
            CheckpointError: a file is missing or malformed.
        """
        self._folder = folder
        try:
            self._frames = np.load(folder / FRAMES, mmap_mode="r", allow_pickle=False)
            rows = [line.split("\t") for line in (folder / INDEX).read_text(encoding="utf-8").splitlines()]
            self._places = {key: (int(first), int(count)) for key, first, count in rows}
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder}: expected stored frames, got {error}; remove the folder") from None

    def extract_batch(self, clips: Sequence[Samples]) -> list[Float[np.ndarray, "frames dim"]]:
        """The frames of recordings that were stored.

        Raises:
            CheckpointError: one was not.
        """
        return [self._of(clip) for clip in clips]

    def _of(self, clip: Samples) -> Float[np.ndarray, "frames dim"]:
        place = self._places.get(_key(clip))
        if place is None:
            raise CheckpointError(
                f"{self._folder}: no frames of a recording of {clip.size} samples; remove the folder, which was made "
                "for other audio"
            )
        first, count = place
        return np.array(self._frames[first : first + count])


def store_frames(folder: Path, manifests: Sequence[Manifest], extract: Extract, *, width: int, group: int) -> None:
    """Extract and write the frames of every recording of some splits, in their order.

    Args:
        folder: to write to.
        manifests: the splits.
        extract: gives samples // 320 frames of each recording.
        width: dimensions of a frame.
        group: recordings that are extracted together.
    """
    rows = [
        (manifest.root, location, samples)
        for manifest in manifests
        for location, samples in zip(manifest.locations, manifest.samples, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(samples // UNIT_HOP for *_, samples in rows)
    stored = np.lib.format.open_memmap(folder / FRAMES, mode="w+", dtype=np.float32, shape=(total, width))

    def of_group(first: int) -> list[tuple[str, Float[np.ndarray, "frames dim"]]]:
        clips = [read_location(root, location) for root, location, _ in rows[first : first + group]]
        return list(zip(map(_key, clips), extract(clips), strict=True))

    lines, position = [], 0
    with tqdm(total=len(rows), desc="storing frames", unit="utts", disable=None) as bar:
        for found in in_order(of_group, range(0, len(rows), group), workers=torch.get_num_threads()):
            for key, frames in found:
                stored[position : position + len(frames)] = frames
                lines.append(f"{key}\t{position}\t{len(frames)}\n")
                position += len(frames)
            bar.update(len(found))
    assert position == total, (position, total)
    stored.flush()
    write_text(folder / INDEX, "".join(lines))


def _key(clip: Samples) -> str:
    return hashlib.sha256(np.ascontiguousarray(clip, dtype="<f4").tobytes()).hexdigest()
