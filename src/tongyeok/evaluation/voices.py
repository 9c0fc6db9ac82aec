"""d-vectors of many recordings, a few hundred in memory at a time."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from tongyeok.base.audio import Samples
from tongyeok.unit2speech.speaker_encoder import DVECTOR, SpeakerEncoder

AT_ONCE = 256  # recordings


def embed(encoder: SpeakerEncoder, clips: Sequence[Callable[[], Samples]]) -> Float[np.ndarray, "clips 256"]:
    """d-vectors of recordings that are read when needed; zeros for a recording without samples."""
    vectors = np.zeros((len(clips), DVECTOR), dtype=np.float32)
    for start in range(0, len(clips), AT_ONCE):
        loaded = [load() for load in clips[start : start + AT_ONCE]]
        spoken = [row for row, samples in enumerate(loaded) if samples.size]
        if spoken:
            vectors[[start + row for row in spoken]] = encoder.embed([loaded[row] for row in spoken])
    return vectors


def similarity(
    left: Float[np.ndarray, "clips 256"], right: Float[np.ndarray, "clips 256"]
) -> Float[np.ndarray, " clips"]:
    """Cosine of each pair of d-vectors of unit length; 0 where one recording has no samples."""
    return np.asarray((left.astype(np.float64) * right).sum(axis=1))
