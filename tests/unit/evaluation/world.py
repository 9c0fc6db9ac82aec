"""A tiny world that the stages `translate_test` and `evaluate` can run in: three groups in Korean and English."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tongyeok.base.audio import PackWriter
from tongyeok.base.files import write_text
from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.base.units import UnitSource, run_lengths, write_units
from tongyeok.base.utterances import Utterance, write_utterances
from tongyeok.unit2speech.fourier import FourierConfig
from tongyeok.unit2speech.synthesis import UnitVocoder, build_generator
from tongyeok.unit2unit.tags import units_of

SOURCE = UnitSource(codebook="c" * 64, checkpoint="", clusters=6)
TEXTS = {
    "en": ("The cat sleeps on the old red chair.", "My brother bought three green apples.", "It rains in the evening."),
    "ko": ("고양이가 의자에서 자요.", "동생이 사과를 샀어요.", "저녁에 비가 와요."),
}
FRAMES = 30  # of every recording


@dataclass(frozen=True, kw_only=True)
class World:
    """The folders of the stages before, and their rows."""

    folder: Path
    utterances: Sequence[Utterance]

    def path(self, stage: str) -> Path:
        """The outputs of a stage."""
        return self.folder / stage


def build(folder: Path) -> World:
    """Write corpus, manifest, units, bitext, translator (its dictionary) and vocoder below `folder`."""
    random = np.random.default_rng(3)
    utterances, units = [], {"en": {}, "ko": {}}
    (folder / "corpus").mkdir(parents=True)
    for lang, texts in TEXTS.items():
        with PackWriter(folder / "corpus" / f"{lang}-000.zip") as pack:
            for number, text in enumerate(texts):
                utt = f"g{number}_{lang}"
                samples = 0.1 * random.standard_normal(FRAMES * 320).astype(np.float32)
                row = Utterance(
                    utt=utt,
                    group=f"g{number}",
                    lang=lang,
                    split="test",
                    speaker=f"s{number}",
                    text=text,
                    audio=pack.add(utt, samples),
                    samples=samples.size,
                )
                utterances.append(row)
                units[lang][utt] = random.integers(0, SOURCE.clusters, FRAMES).astype(np.int32)
    write_utterances(folder / "corpus", utterances)
    manifest = Manifest(
        root=folder / "corpus",
        utts=tuple(row.utt for row in utterances),
        locations=tuple(row.audio for row in utterances),
        samples=tuple(row.samples for row in utterances),
    )
    write_manifest(folder / "manifest", "test", manifest)
    for lang, table in units.items():
        write_units(folder / "units" / f"{lang}.tsv", SOURCE, table)
    _write_bitext(folder / "bitext", units)
    (folder / "translator").mkdir()
    write_text(folder / "translator" / "dict.txt", (folder / "bitext" / "dict.txt").read_text(encoding="utf-8"))
    vocoder().save(folder / "vocoder")
    return World(folder=folder, utterances=utterances)


def _write_bitext(folder: Path, units: dict[str, dict[str, np.ndarray]]) -> None:
    sides: dict[str, list[str]] = {"src": [], "tgt": [], "ids": []}
    for source, target in (("ko", "en"), ("en", "ko")):
        for number in range(len(TEXTS["en"])):
            ids = [f"g{number}_{lang}" for lang in (source, target)]
            for side, lang, utt in zip(("src", "tgt"), (source, target), ids, strict=True):
                distinct, _ = run_lengths(units[lang][utt])
                sides[side].append(" ".join([f"<{lang}>", *map(str, distinct.tolist())]))
            sides["ids"].append("\t".join(ids))
    for split in ("train", "test"):
        for side, lines in sides.items():
            write_text(folder / f"{split}.{side}", "\n".join(lines) + "\n")
    symbols = [*map(str, range(SOURCE.clusters)), "<ko>", "<en>"]
    write_text(folder / "dict.txt", "".join(f"{symbol} 1\n" for symbol in symbols))


def vocoder(source: UnitSource = SOURCE) -> UnitVocoder:
    """A small vocoder with random weights."""
    cfg = FourierConfig(
        head="fourier", width=16, layers=1, expansion=2, kernel=7, fft_samples=1280, looks=1, duration_dropout=0.5
    )
    generator = build_generator(cfg, clusters=source.clusters, languages=2, seed=1).eval()
    with torch.no_grad():
        generator.durations.proj.bias.fill_(1.2)
    return UnitVocoder(generator=generator, cfg=cfg, languages=("en", "ko"), source=source)


class Parrot:
    """In place of the fairseq translator: says the source's units again, backwards; notes how it was called."""

    def __init__(self, checkpoint: Path, dictionary: Path, *, device: str) -> None:
        self.opened = (checkpoint.name, dictionary.name, device)
        self.calls: list[dict[str, object]] = []

    def translate(self, sources: Sequence[str], **how: object) -> list[np.ndarray]:
        """The units of each source, backwards."""
        self.calls.append(how)
        return [units_of(source)[::-1] for source in sources]
