"""Feature shards `<split>_<rank>_<nshard>.{npy,len}`, as fairseq's `examples/hubert/simple_kmeans` dumps them.

The stages of this project stream features and store none; shards are for exchange. HuBERT's features are those of bare
samples, as `dump_hubert_feature.py` has them; the stages' own are padded by 40 samples on either side, so that there
are exactly samples // 320.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from tongyeok.base.audio import Samples, read_location
from tongyeok.base.files import whole, write_text
from tongyeok.base.manifests import Manifest, subset
from tongyeok.engine.features import FeatureReader
from tongyeok.errors import CorpusError, ManifestError
from tongyeok.exchange.manifests import read_tsv
from tongyeok.speech2unit.mfcc import WINDOW, mfcc

STRETCH = 1_600_000  # samples of HuBERT's audio read at once: the original's `max_chunk`, 100 s

Extract = Callable[[Samples], Float[np.ndarray, "frames dim"]]


def dump_shard(tsv: Path, *, shards: int, rank: int, target: Path, extract: Extract) -> Path:
    """Write the features of one shard of a manifest, and return the path of its array.

    Args:
        tsv: `<split>.tsv`; its name gives the shard's.
        shards: how many shards the manifest is cut into.
        rank: which of them, from 0.
        target: folder for the array of all frames (float32) and the list of their numbers per utterance.
        extract: recording -> frames.

    Raises:
        ManifestError: there is no such shard, or it is empty.
        CorpusError: a recording is unreadable, differs from the manifest, or is shorter than a frame.
    """
    manifest = shard(read_tsv(tsv), shards=shards, rank=rank, name=str(tsv))
    stem = f"{tsv.stem}_{rank}_{shards}"
    lengths = _write_array(target / f"{stem}.npy", _frames(manifest, extract))
    write_text(target / f"{stem}.len", "".join(f"{length}\n" for length in lengths))
    return target / f"{stem}.npy"


def hubert_extractor(checkpoint: Path, *, layer: int) -> Extract:
    """Frames of a layer of a HuBERT checkpoint, of bare samples, in stretches of 100 s.

    A last stretch too short for a frame is left out; the original stops with an error there.
    """
    reader = FeatureReader(checkpoint, layer=layer, device="cuda" if torch.cuda.is_available() else "cpu")

    def extract(samples: Samples) -> Float[np.ndarray, "frames dim"]:
        stretches = [samples[start : start + STRETCH] for start in range(0, samples.size, STRETCH)]
        return np.concatenate([reader.extract_unpadded(part) for part in stretches if part.size >= WINDOW])

    return extract


def mfcc_extractor() -> Extract:
    """MFCC with deltas."""
    return mfcc


def shard(manifest: Manifest, *, shards: int, rank: int, name: str) -> Manifest:
    """The rows of one shard, cut where the original's `get_shard_range` cuts.

    Raises:
        ManifestError: there is no such shard, or it is empty.
    """
    if not 0 <= rank < shards:
        raise ManifestError(f"--rank: expected 0 <= rank < nshard ({shards}), got {rank}")
    total = len(manifest.utts)
    rows = range(round(total / shards * rank), round(total / shards * (rank + 1)))
    if not rows:
        raise ManifestError(f"{name}: shard {rank} of {shards} of its {total} recordings is empty; lower --nshard")
    return subset(manifest, rows)


def _frames(manifest: Manifest, extract: Extract) -> Iterator[Float[np.ndarray, "frames dim"]]:
    rows = zip(manifest.locations, manifest.samples, strict=True)
    for location, count in tqdm(rows, total=len(manifest.utts), desc="features", unit="utt", disable=None):
        samples = read_location(manifest.root, location)
        if samples.size != count:
            raise CorpusError(f"{location}: the manifest has {count} samples, its audio {samples.size}; rewrite it")
        if count < WINDOW:
            raise CorpusError(f"{location}: {count} samples are less than one frame of {WINDOW}; leave it out")
        yield np.ascontiguousarray(extract(samples), dtype="<f4")


def _write_array(path: Path, blocks: Iterable[Float[np.ndarray, "frames dim"]]) -> list[int]:
    """Write blocks as one array, the bytes of `np.save`, one block in memory at a time; return their lengths."""
    lengths: list[int] = []
    width = 0
    with whole(path) as partial, partial.open("wb") as file:
        for block in blocks:
            if not lengths:
                width = block.shape[1]
                _write_header(file, frames=0, width=width)
            file.write(block.tobytes())
            lengths.append(len(block))
        file.seek(0)
        _write_header(file, frames=sum(lengths), width=width)
    return lengths


def _write_header(file: BinaryIO, *, frames: int, width: int) -> None:
    """Write the header, which numpy pads for any number of rows, so that it can be written again in place."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (frames, width)})
