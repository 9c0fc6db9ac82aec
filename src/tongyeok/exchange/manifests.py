"""Manifests of a folder of recordings, as fairseq's `examples/wav2vec/wav2vec_manifest.py` writes them, but sorted.

The original walks the folder in the file system's order and draws a number for each file on the way, so that a copy of
the folder gets another split. Here the listing is sorted first; from the same listing and seed come the same bytes.
"""

import glob
import os
import random
from pathlib import Path

import soundfile
from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE
from tongyeok.base.files import write_text
from tongyeok.base.manifests import Manifest, read_table
from tongyeok.errors import CorpusError, ManifestError


def write_folder_manifest(
    folder: Path, *, target: Path, extension: str, valid_percent: float, seed: int, must_contain: str | None
) -> dict[str, int]:
    """Write `train.tsv` and, where `valid_percent` is above 0, `valid.tsv` of all recordings below `folder`.

    Args:
        folder: of recordings; hidden files and folders are left out, links are followed.
        target: folder for the manifests.
        extension: of the recordings, without a dot.
        valid_percent: share between 0 and 1, for all its name, of recordings drawn for validation.
        seed: of that draw.
        must_contain: only paths with this in them are taken.

    Returns:
        How many recordings each split has.

    Raises:
        ManifestError: the share is out of range.
        CorpusError: nothing is found, or a recording is unreadable or not 16 kHz mono.
    """
    if not 0 <= valid_percent <= 1:
        raise ManifestError(f"--valid-percent: expected a share between 0 and 1, got {valid_percent}")
    root = folder.resolve()
    pattern = f"**/*.{extension}"
    names = sorted(glob.glob(pattern, root_dir=root, recursive=True))  # noqa: PTH207  pathlib's does not follow links
    draw = random.Random(seed)  # noqa: S311  the original's generator
    splits: dict[str, list[str]] = {split: [] for split in (("train", "valid") if valid_percent > 0 else ("train",))}
    for name in tqdm(names, desc="reading headers", unit="file", disable=None):
        path = (root / name).resolve()
        if must_contain is None or must_contain in str(path):
            row = f"{os.path.relpath(path, root)}\t{_count_samples(root / name)}"
            splits["train" if draw.random() > valid_percent or valid_percent == 0 else "valid"].append(row)
    if not any(splits.values()):
        raise CorpusError(
            f"{folder}: no recording is called {pattern}; correct the folder, --ext or --path-must-contain"
        )
    for split, rows in splits.items():
        write_text(target / f"{split}.tsv", "\n".join([str(root), *rows]) + "\n")
    return {split: len(rows) for split, rows in splits.items()}


def read_tsv(path: Path) -> Manifest:
    """A fairseq manifest, anyone's: utterances are called by their locations.

    Raises:
        ManifestError: the file is missing or a row is malformed.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest; write it with `tongyeok exchange manifest`")
    root, locations, samples = read_table(path, remedy="rewrite the manifest")
    return Manifest(root=root, utts=locations, locations=locations, samples=samples)


def _count_samples(path: Path) -> int:
    try:
        found = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise CorpusError(
            f"{path}: expected a recording, got a file that does not decode ({error}); remove it"
        ) from None
    if found.samplerate != SAMPLE_RATE or found.channels != 1:
        raise CorpusError(
            f"{path}: expected {SAMPLE_RATE} Hz mono, which HuBERT reads, got {found.samplerate} Hz and "
            f"{found.channels} channels; convert it, or import the folder with the stage `corpus`"
        )
    return int(found.frames)
