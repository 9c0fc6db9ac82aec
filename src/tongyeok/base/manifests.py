"""fairseq manifests: `<split>.tsv` (root, then `location<TAB>samples`), with the utterance ids beside it.

The root is stored relative to the manifest's own folder, so that a checkout can move; it is made absolute at the door
to fairseq.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tongyeok.base.files import write_text
from tongyeok.errors import ManifestError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One split: `root` is the absolute audio folder; `utts`, `locations` and `samples` are parallel."""

    root: Path
    utts: tuple[str, ...]
    locations: tuple[str, ...]
    samples: tuple[int, ...]


def write_manifest(folder: Path, split: str, manifest: Manifest) -> None:
    """Write `<split>.tsv` and `<split>.utt` into `folder`.

    The root is stored relative to `folder`; `runner` moves outputs only to a sibling, so it stays true.
    """
    root = os.path.relpath(manifest.root, folder)
    rows = [f"{where}\t{count}" for where, count in zip(manifest.locations, manifest.samples, strict=True)]
    write_text(folder / f"{split}.tsv", "\n".join([root, *rows]) + "\n")
    write_text(folder / f"{split}.utt", "".join(f"{utt}\n" for utt in manifest.utts))


def read_manifest(folder: Path, split: str) -> Manifest:
    """Read one split of a manifest folder.

    Raises:
        ManifestError: a file is missing, a row is malformed, or ids and rows differ in number.
    """
    table, ids = folder / f"{split}.tsv", folder / f"{split}.utt"
    for path in (table, ids):
        if not path.is_file():
            raise ManifestError(f"{path}: no such file; run the stage `manifest` first")
    root, locations, samples = read_table(table, remedy="rebuild `manifest`")
    utts = tuple(ids.read_text(encoding="utf-8").splitlines())
    if len(locations) != len(utts):
        raise ManifestError(
            f"{table}: {len(locations)} recordings but {ids.name} has {len(utts)} ids; rebuild `manifest`"
        )
    return Manifest(root=root, utts=utts, locations=locations, samples=samples)


def read_table(path: Path, *, remedy: str) -> tuple[Path, tuple[str, ...], tuple[int, ...]]:
    """The absolute audio folder, the locations and the sample counts of a fairseq manifest.

    Raises:
        ManifestError: a row is malformed; the message ends in `remedy`.
    """
    root, *rows = path.read_text(encoding="utf-8").splitlines() or [""]
    locations, samples = [], []
    for number, row in enumerate(rows, start=2):
        location, tab, count = row.partition("\t")
        if not tab or not count.isdigit():
            raise ManifestError(f"{path}:{number}: expected `location<TAB>samples`, got {row!r}; {remedy}")
        locations.append(location)
        samples.append(int(count))
    return (path.parent / root).resolve(), tuple(locations), tuple(samples)


def absolute_manifest(folder: Path, split: str, target: Path) -> None:
    """Write a copy of a split's tsv with an absolute root, as fairseq needs it, to `target`."""
    manifest = read_manifest(folder, split)
    rows = [f"{where}\t{count}" for where, count in zip(manifest.locations, manifest.samples, strict=True)]
    write_text(target, "\n".join([str(manifest.root), *rows]) + "\n")


def subset(manifest: Manifest, keep: Sequence[int]) -> Manifest:
    """The rows of `manifest` at the given positions, in that order."""
    return Manifest(
        root=manifest.root,
        utts=tuple(manifest.utts[i] for i in keep),
        locations=tuple(manifest.locations[i] for i in keep),
        samples=tuple(manifest.samples[i] for i in keep),
    )
