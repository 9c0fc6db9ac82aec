"""A tiny corpus of units without audio: sentences of digits, "translated" word by word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.manifests import SPLITS, Manifest, write_manifest
from tongyeok.base.stage import silent
from tongyeok.base.units import UnitSource, write_units
from tongyeok.base.utterances import Utterance, write_utterances
from tongyeok.unit2unit import bitext

CLUSTERS = 12
WORDS, VOCABULARY = 5, CLUSTERS // 2  # of a sentence; each word is two units
LANGUAGES = ("ko", "en", "es")
GROUPS = {"train": 12, "valid": 3, "test": 3}
SOURCE = UnitSource(codebook="c" * 64, checkpoint="", clusters=CLUSTERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Toy:
    """Folders of the stages before `bitext`."""

    corpus: Path
    manifest: Path
    units: Path

    @property
    def inputs(self) -> bitext.Inputs:
        """What the stage reads."""
        return bitext.Inputs(corpus=self.corpus, manifest=self.manifest, units=self.units)


def utterance(utt: str, group: str, lang: str, *, speaker: str = "a") -> Utterance:
    """A row of the utterance table."""
    return Utterance(
        utt=utt, group=group, lang=lang, split="", speaker=speaker, text="", audio=f"{utt}.flac", samples=320 * 20
    )


def speak(group: int, language: str, *, seed: int = 0) -> np.ndarray:
    """Units of a group's sentence: the same words in each language, other units, each held for 1 to 3 frames."""
    words = np.random.default_rng([seed, group]).integers(0, VOCABULARY, WORDS)
    shift = LANGUAGES.index(language)
    distinct = [unit for word in words for unit in ((2 * word + shift) % CLUSTERS, (2 * word + shift + 3) % CLUSTERS)]
    durations = np.random.default_rng([seed, group, shift]).integers(1, 4, len(distinct))
    return np.repeat(np.array(distinct, dtype=np.int32), durations)


def build(root: Path, *, languages: Sequence[str] = LANGUAGES, groups: Mapping[str, int] | None = None) -> Toy:
    """Write the folders: one utterance a group and language, called `<lang>-<group>`."""
    utterances: list[Utterance] = []
    spoken: dict[str, dict[str, np.ndarray]] = {language: {} for language in languages}
    splits: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
    number = 0
    for split, count in (groups or GROUPS).items():
        for _ in range(count):
            for language in languages:
                row = utterance(f"{language}-{number}", f"g{number}", language)
                utterances.append(row)
                splits[split].append(row)
                spoken[language][row.utt] = speak(number, language)
            number += 1
    toy = Toy(corpus=root / "corpus", manifest=root / "manifest", units=root / "units")
    write_utterances(toy.corpus, utterances)
    for split, rows in splits.items():
        write_split(toy, split, rows)
    for language, units in spoken.items():
        write_units(toy.units / f"{language}.tsv", SOURCE, units)
    return toy


def write_split(toy: Toy, split: str, rows: Sequence[Utterance]) -> None:
    """Write one split of the manifest."""
    manifest = Manifest(
        root=toy.corpus,
        utts=tuple(row.utt for row in rows),
        locations=tuple(row.audio for row in rows),
        samples=tuple(row.samples for row in rows),
    )
    write_manifest(toy.manifest, split, manifest)


def build_bitext(root: Path, *, groups: Mapping[str, int] | None = None, **changes: object) -> Path:
    """The stage's outputs on the toy corpus; `changes` go to its section."""
    run(build(root, groups=groups), root / "bitext", **changes)
    return root / "bitext"


def config(**changes: object) -> bitext.BitextConfig:
    """The section `bitext` for the toy corpus."""
    values: dict[str, object] = {
        "languages": LANGUAGES,
        "directions": "all",
        "train_directions": "all",
        "tags": "prefix",
        "max_tokens": 64,
        "train_repeats": {},
        "pairs_per_group": 4,
    }
    return bitext.BitextConfig(**(values | changes))  # type: ignore[arg-type]


def run(toy: Toy, outputs: Path, **changes: object) -> dict[str, float]:
    """Run the stage."""
    outputs.mkdir()
    return bitext.run(config(**changes), inputs=toy.inputs, outputs=outputs, context=silent(outputs))
