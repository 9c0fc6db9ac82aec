"""Transcripts kept by the hash of their audio, one file per recogniser and its settings.

The files outlive a stage's rerun: what was heard once is not heard again.
"""

import fcntl
import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tongyeok.base.audio import Samples

HASH_LETTERS = 16  # of a settings hash, in the file's name


class Transcripts:
    """An append-only JSON-lines file: settings first, then `{"audio": sha256, "text": …}`.

    Lines are appended whole under a lock, so that several processes may share it; a line torn by a crash is ignored.

    Args:
        folder: where the files are kept.
        settings: everything that a transcript depends on besides the audio.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        described = json.dumps(settings, sort_keys=True, ensure_ascii=False)
        self.path = folder / f"{hashlib.sha256(described.encode()).hexdigest()[:HASH_LETTERS]}.jsonl"
        self._own = threading.Lock()
        self._known: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self._append({"settings": dict(settings)})
        for line in self.path.read_bytes().split(b"\n"):
            try:
                row = json.loads(line)
                self._known[row["audio"]] = row["text"]
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, audio: str) -> str | None:
        """The transcript of the audio with this hash, or None."""
        return self._known.get(audio)

    def put(self, audio: str, text: str) -> None:
        """Keep a transcript."""
        self._known[audio] = text
        self._append({"audio": audio, "text": text})

    def _append(self, row: Mapping[str, object]) -> None:
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with self._own, self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.tell():
                file.seek(-1, 2)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)


def audio_hash(samples: Samples) -> str:
    """SHA-256 of decoded samples."""
    return hashlib.sha256(np.ascontiguousarray(samples, dtype="<f4").tobytes()).hexdigest()
