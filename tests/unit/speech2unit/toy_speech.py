"""A tiny corpus of coloured noise in two languages, and a HuBERT folder whose features need no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP, PackWriter
from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.base.utterances import Utterance, write_utterances

SPLITS = {"train": 6, "valid": 2, "test": 2}
FAKE_WIDTH = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """Folders of the stages before speech2unit."""

    corpus: Path
    manifest: Path


def noise(samples: int, *, seed: int) -> np.ndarray:
    """Noise whose colour changes every 50 ms, so that its frames form clusters."""
    rng = np.random.default_rng(seed)
    parts = []
    while sum(part.size for part in parts) < samples:
        kernel = rng.standard_normal((4, 16))[rng.integers(4)]
        parts.append(np.convolve(rng.standard_normal(800), kernel, mode="same"))
    return (0.02 * np.concatenate(parts)[:samples]).astype(np.float32)


def build(root: Path, *, langs: Sequence[str] = ("en", "ko")) -> Speech:
    """Write a corpus folder with phones, and a manifest folder."""
    corpus, manifest = root / "corpus", root / "manifest"
    utterances, phones = [], ["utt\tphones"]
    for lang in langs:
        with PackWriter(corpus / f"{lang}-000.zip") as pack:
            for number in range(sum(SPLITS.values())):
                samples = noise(9000 + 487 * number, seed=100 * number + len(lang) + ord(lang[0]))
                utt = f"g{number}_{lang}"
                utterances.append(
                    Utterance(
                        utt=utt,
                        group=f"g{number}",
                        lang=lang,
                        split="",
                        speaker="s",
                        text="",
                        audio=pack.add(utt, samples),
                        samples=samples.size,
                    )
                )
                phones.append(f"{utt}\tsil:{SAMPLE_RATE // 10} a:4000 b:{samples.size}")
    write_utterances(corpus, utterances)
    (corpus / "phones.tsv").write_text("\n".join(phones) + "\n", encoding="utf-8")
    first = 0
    for split, count in SPLITS.items():
        groups = {f"g{number}" for number in range(first, first + count)}
        rows = [utterance for utterance in utterances if utterance.group in groups]
        content = Manifest(
            root=corpus,
            utts=tuple(row.utt for row in rows),
            locations=tuple(row.audio for row in rows),
            samples=tuple(row.samples for row in rows),
        )
        write_manifest(manifest, split, content)
        first += count
    return Speech(corpus=corpus, manifest=manifest)


class FakeReader:
    """Stands in for the door's `FeatureReader`: loudness of five stretches of each 20 ms frame."""

    def __init__(self, checkpoint: Path, *, layer: int, device: str) -> None:
        """Accept what the door accepts."""
        assert checkpoint.is_file()
        assert device in {"cpu", "cuda"}
        self.layer = layer

    def extract_batch(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One row per whole 320 samples."""
        stretches = [clip[: clip.size // UNIT_HOP * UNIT_HOP].reshape(-1, FAKE_WIDTH, 64) for clip in clips]
        return [self.layer * 100 * np.abs(stretch).mean(axis=2) for stretch in stretches]
