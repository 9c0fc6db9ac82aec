"""A seeded, uniform sample of frames from a stream of any length, in bounded memory.

Each frame gets a random key that depends on the seed, its utterance and its place alone; the frames with the smallest
keys stay. So the sample is the same whatever the order, grouping or sharding of the utterances.
"""

import hashlib

import numpy as np
from jaxtyping import Float

from tongyeok.errors import UnitError

SLACK = 4  # the buffer is sorted out when it is a quarter fuller than the sample


class Reservoir:
    """Keeps `size` frames of all that are added."""

    def __init__(self, size: int, *, seed: int) -> None:
        """Make an empty sample for at most `size` frames."""
        self.size = size
        self.seen = 0
        self._seed = seed
        self._threshold = np.inf
        self._keys: list[Float[np.ndarray, " frames"]] = []
        self._frames: list[Float[np.ndarray, "frames dim"]] = []
        self._held = 0

    def add(self, utt: str, frames: Float[np.ndarray, "frames dim"]) -> None:
        """Offer the frames of one utterance; each utterance may be offered once."""
        self.seen += len(frames)
        keys = _generator(self._seed, utt).random(len(frames))
        chosen = keys < self._threshold
        self._keys.append(keys[chosen])
        self._frames.append(frames[chosen])
        self._held += int(chosen.sum())
        if self._held > self.size + self.size // SLACK:
            self._sort_out()

    def sample(self) -> Float[np.ndarray, "frames dim"]:
        """The sampled frames in order of their keys.

        Raises:
            UnitError: nothing was added.
        """
        if not self._held:
            raise UnitError("no frames to sample: the split is empty; check the manifest's train split")
        self._sort_out()
        return self._frames[0]

    def _sort_out(self) -> None:
        keys = np.concatenate(self._keys)
        order = np.argsort(keys, kind="stable")[: self.size]
        self._keys = [keys[order]]
        self._frames = [np.concatenate(self._frames)[order]]
        self._held = len(order)
        if self._held == self.size:
            self._threshold = float(self._keys[0][-1])


def _generator(seed: int, utt: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{utt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
