"""Stream feature frames of a manifest, utterance by utterance: MFCC, or one layer of a HuBERT checkpoint.

Features are never stored: 670 h of HuBERT base features would be about 370 GB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from tongyeok.base.audio import UNIT_HOP, Samples, read_location
from tongyeok.base.files import sha256
from tongyeok.base.manifests import Manifest
from tongyeok.errors import CheckpointError, CorpusError, UnitError
from tongyeok.speech2unit.codebook import Codebook, Feature, describe
from tongyeok.speech2unit.mfcc import mfcc

CHECKPOINT = "checkpoint.pt"
MANIFEST = "manifest"  # the `source` of MFCC: no model, only the manifest


class Extractor(Protocol):
    """Something that turns one recording into feature frames."""

    @property
    def feature(self) -> Feature:
        """What kind of frames these are."""
        ...

    @property
    def layer(self) -> int | None:
        """1-based HuBERT layer, None for MFCC."""
        ...

    @property
    def checkpoint(self) -> str:
        """SHA-256 of the HuBERT checkpoint file, empty for MFCC."""
        ...

    def extract(self, samples: Samples) -> Float[np.ndarray, "frames dim"]:
        """Feature frames of one recording, float32."""
        ...


@dataclass(frozen=True, slots=True)
class MfccExtractor:
    """MFCC with deltas, 100 frames a second."""

    feature: Feature = "mfcc"
    layer: int | None = None
    checkpoint: str = ""

    def extract(self, samples: Samples) -> Float[np.ndarray, "frames dim"]:
        """MFCC frames of one recording."""
        return mfcc(samples)


class HubertExtractor:
    """The output of one layer of a HuBERT checkpoint, 50 frames a second."""

    feature: Feature = "hubert"

    def __init__(self, path: Path, *, layer: int) -> None:
        """Load `path` up to the 1-based `layer`, on the GPU where there is one."""
        from tongyeok.engine.features import FeatureReader  # noqa: PLC0415  reaches fairseq, which MFCC does not need

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.layer: int | None = layer
        self.checkpoint = sha256(path)
        self._reader = FeatureReader(path, layer=layer, device=device)

    def extract(self, samples: Samples) -> Float[np.ndarray, "frames dim"]:
        """Exactly samples // 320 frames of one recording."""
        frames: Float[np.ndarray, "frames dim"] = self._reader.extract(samples)
        assert len(frames) == samples.size // UNIT_HOP
        return frames


def open_extractor(*, source: str, layer: int | None, manifest: Path, hubert: Path | None) -> Extractor:
    """The extractor of a configured feature source.

    Args:
        source: `manifest` for MFCC, `hubert/<i>` for a HuBERT iteration.
        layer: 1-based HuBERT layer; None for MFCC.
        manifest: the manifest folder. One DVC template serves every iteration and passes `outputs/<source>` as
            `hubert`, so for MFCC `hubert` may be this same folder.
        hubert: the folder of the stage `hubert`, or None.

    Raises:
        UnitError: `source` and `hubert` do not belong together.
        CheckpointError: the HuBERT folder has no checkpoint.
    """
    if source == MANIFEST:
        if hubert is not None and hubert.resolve() != manifest.resolve():
            raise UnitError(f"--hubert {hubert}: source `manifest` means MFCC features, without a model; leave it out")
        return MfccExtractor()
    if hubert is None or layer is None:
        raise UnitError(
            f"source `{source}` needs --hubert <folder of its checkpoint> and a layer, got {hubert}, {layer}"
        )
    checkpoint = hubert / CHECKPOINT
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: no such file, but source is `{source}`; run the stage `hubert` first")
    return HubertExtractor(checkpoint, layer=layer)


def check_origin(codebook: Codebook, extractor: Extractor, *, name: str) -> None:
    """Refuse features of another kind, layer or checkpoint than the codebook was fitted on.

    Raises:
        UnitError: they differ.
    """
    expected = (codebook.feature, codebook.layer, codebook.checkpoint)
    if (extractor.feature, extractor.layer, extractor.checkpoint) != expected:
        got = (
            "MFCC" if extractor.feature == "mfcc" else f"HuBERT layer {extractor.layer} of {extractor.checkpoint[:12]}"
        )
        raise UnitError(
            f"{name}: fitted on {describe(codebook)}, but got features of {got}; run `kmeans` on these features"
        )


def stream(
    manifest: Manifest, extractor: Extractor, *, description: str
) -> Iterator[tuple[str, Float[np.ndarray, "frames dim"]]]:
    """Read and extract one utterance after the other, in the manifest's order.

    Raises:
        CorpusError: a recording is unreadable, differs in length from the manifest, is too short for one frame, or
            gives features that are not finite.
    """
    rows = zip(manifest.utts, manifest.locations, manifest.samples, strict=True)
    for utt, location, count in tqdm(rows, total=len(manifest.utts), desc=description, unit="utt", disable=None):
        samples = read_location(manifest.root, location)
        if samples.size != count:
            raise CorpusError(f"{utt}: the manifest has {count} samples, its audio {samples.size}; rebuild `manifest`")
        frames = extractor.extract(samples)
        if len(frames) == 0:
            raise CorpusError(f"{utt}: {count} samples are too short for one frame of features; remove the utterance")
        if not np.isfinite(frames).all():
            raise CorpusError(f"{utt}: its features are not finite; check the recording for NaN samples")
        yield utt, frames


def check_source(source: str) -> None:
    """Check a configured feature source.

    Raises:
        ValueError: it is neither `manifest` nor `hubert/<i>`.
    """
    name, _, iteration = source.partition("/")
    if source != MANIFEST and (name != "hubert" or not iteration.isdigit()):
        raise ValueError(f"source: expected `manifest` (MFCC) or `hubert/<iteration>`, got {source!r}")
