"""d-vectors of many recordings."""

from functools import partial

import numpy as np
import pytest

from tongyeok.evaluation import voices
from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder


def test_groups_change_nothing_and_silence_has_no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of unit length in the order of the clips, however many are read at a time; zeros for an empty one."""
    random = np.random.default_rng(2)
    clips = [0.1 * random.standard_normal(size).astype(np.float32) for size in (8000, 0, 12000, 16000)]
    loads = [partial(lambda clip: clip, clip) for clip in clips]
    encoder = load_speaker_encoder()
    together = voices.embed(encoder, loads)
    monkeypatch.setattr(voices, "AT_ONCE", 2)
    apart = voices.embed(encoder, loads)
    difference = np.abs(together - apart).max()
    assert difference < 1e-5, difference
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 0, 1, 1], abs=1e-5)
    assert voices.similarity(together, together) == pytest.approx([1, 0, 1, 1], abs=1e-5)
    assert voices.similarity(together, -together)[0] == pytest.approx(-1, abs=1e-5)
