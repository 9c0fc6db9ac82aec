"""Kept transcripts: found again, told apart, whole after a crash."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tongyeok.evaluation.transcripts import Transcripts, audio_hash

SETTINGS = {"model": "m", "language": "en"}


def test_kept_is_found_again(tmp_path: Path) -> None:
    """A second reader finds what the first one kept, letters beyond ASCII and line breaks included."""
    text = 'a "quoted" line\nand 한국어'
    Transcripts(tmp_path, SETTINGS).put("x", text)
    found = Transcripts(tmp_path, SETTINGS)
    assert found.get("x") == text
    assert found.get("y") is None


def test_settings_are_kept_apart(tmp_path: Path) -> None:
    """Other settings are another file, whose first line tells them."""
    first = Transcripts(tmp_path, SETTINGS)
    first.put("x", "heard")
    other = Transcripts(tmp_path, {**SETTINGS, "language": "es"})
    assert other.get("x") is None
    assert json.loads(first.path.read_text().splitlines()[0]) == {"settings": SETTINGS}


def test_a_torn_line_is_no_transcript(tmp_path: Path) -> None:
    """What a crash left half-written is ignored, and what is kept later is not joined to it."""
    kept = Transcripts(tmp_path, SETTINGS)
    kept.put("x", "whole")
    with kept.path.open("ab") as file:
        file.write(b'{"audio": "y", "te')
    again = Transcripts(tmp_path, SETTINGS)
    assert (again.get("x"), again.get("y")) == ("whole", None)
    again.put("z", "later")
    assert Transcripts(tmp_path, SETTINGS).get("z") == "later"


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    """Several threads with files of their own append whole lines."""

    def write(writer: int) -> None:
        kept = Transcripts(tmp_path, SETTINGS)
        for number in range(25):
            kept.put(f"{writer}-{number}", "text " * 50)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    found = Transcripts(tmp_path, SETTINGS)
    assert all(found.get(f"{writer}-{number}") for writer in range(4) for number in range(25))


def test_hash_is_of_the_samples() -> None:
    """One changed sample is another hash; memory layout is not."""
    samples = np.linspace(-1, 1, 64, dtype=np.float32)
    changed = samples.copy()
    changed[7] += 1e-4
    assert audio_hash(samples) != audio_hash(changed)
    assert audio_hash(np.repeat(samples, 2)[::2]) == audio_hash(samples)
