"""What the vocoder learns from: utterances with their true 50 Hz units, read from packs through a bounded cache."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tongyeok.base.audio import UNIT_HOP, Samples, read_location
from tongyeok.base.manifests import Manifest
from tongyeok.base.units import Units, run_lengths
from tongyeok.errors import ManifestError, TrainingError, UnitError

CACHE_BYTES = 1 << 30  # of decoded 16-bit audio: about 9 hours
FULL_SCALE = 32768
WHOLE = slice(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One utterance; `language` indexes the vocoder's languages; `units` has one unit per whole frame of its audio."""

    utt: str
    language: int
    location: str
    units: Units


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Equally long segments: units at 50 Hz, and what they sound like."""

    units: Int[Tensor, "batch frames"]
    dvector: Float[Tensor, "batch 256"]
    language: Int[Tensor, " batch"]
    samples: Float[Tensor, "batch samples"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DurationBatch:
    """De-duplicated sequences, padded with unit 0 where `real` is false."""

    codes: Int[Tensor, "batch codes"]
    durations: Int[Tensor, "batch codes"]
    language: Int[Tensor, " batch"]
    real: Bool[Tensor, "batch codes"]

    def part(self, rows: slice) -> "DurationBatch":
        """Some of the sequences, padded as all are."""
        return DurationBatch(
            codes=self.codes[rows],
            durations=self.durations[rows],
            language=self.language[rows],
            real=self.real[rows],
        )


def make_clips(
    manifest: Manifest, *, units: Mapping[str, Units], language_of: Mapping[str, str], languages: Sequence[str]
) -> list[Clip]:
    """Join a split's utterances with their units and languages, in the manifest's order.

    Units and audio are cut to the shorter where they differ by one frame (HuBERT gives one fewer without padding).

    Raises:
        ManifestError: an utterance is not in the corpus table.
        UnitError: an utterance has no units, or they differ from its audio by more than one frame.
    """
    clips = []
    for utt, location, samples in zip(manifest.utts, manifest.locations, manifest.samples, strict=True):
        if utt not in language_of:
            raise ManifestError(f"{utt}: in the manifest but not in the corpus; rebuild `manifest`")
        if utt not in units:
            raise UnitError(f"{utt}: in the manifest but without units; rebuild `units`")
        frames = samples // UNIT_HOP
        if abs(frames - units[utt].size) > 1:
            raise UnitError(
                f"{utt}: expected {frames} units for {samples} samples (one per {UNIT_HOP}), got {units[utt].size}; "
                "rebuild `units` from this corpus"
            )
        language = languages.index(language_of[utt])
        clips.append(Clip(utt=utt, language=language, location=location, units=units[utt][:frames]))
    return clips


class Recordings:
    """Decoded audio of clips, kept as 16 bits in a least-recently-used cache of bounded size.

    Args:
        root: folder that locations are relative to.
        cache_bytes: how much to keep.
    """

    def __init__(self, root: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._root, self._room = root, cache_bytes
        self._kept: OrderedDict[str, Int[np.ndarray, " samples"]] = OrderedDict()

    def whole(self, clip: Clip) -> Samples:
        """The clip's audio of exactly frames * UNIT_HOP samples, float32 in [-1, 1]."""
        return self.part(clip, 0, clip.units.size)

    def part(self, clip: Clip, start: int, frames: int) -> Samples:
        """Audio of `frames` units from unit `start` on.

        Raises:
            UnitError: the recording is shorter than its manifest says.
        """
        kept = self._kept.pop(clip.location, None)
        if kept is None:
            kept = np.round(read_location(self._root, clip.location) * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
            kept = kept.astype(np.int16)
            if kept.size < clip.units.size * UNIT_HOP:
                raise UnitError(f"{clip.utt}: {clip.units.size} units but only {kept.size} samples; rebuild `manifest`")
            self._room -= kept.nbytes
        self._kept[clip.location] = kept
        while self._room < 0 and len(self._kept) > 1:
            self._room += self._kept.popitem(last=False)[1].nbytes
        piece = kept[start * UNIT_HOP : (start + frames) * UNIT_HOP]
        return np.asarray(piece, dtype=np.float32) / FULL_SCALE


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Clips with their audio and, in the same order, the d-vectors of their own recordings."""

    clips: tuple[Clip, ...]
    dvectors: Float[np.ndarray, "clips 256"]
    recordings: Recordings


class Segments:
    """Random segments of training clips; what is drawn depends on seed and step alone, so a resumed run goes on alike.

    Args:
        material: training clips; those shorter than a segment are not drawn.
        frames: length of a segment in units.

    Raises:
        TrainingError: no clip is as long as a segment.
    """

    def __init__(self, material: Material, *, frames: int) -> None:
        longest = max((clip.units.size for clip in material.clips), default=0)
        if longest < frames:
            raise TrainingError(
                f"segment_frames: expected at most {longest}, the units of the longest training utterance, got {frames}"
            )
        self._material, self._frames = material, frames
        self._ends = np.cumsum([max(0, clip.units.size - frames + 1) for clip in material.clips])

    def draw(self, *, seed: int, step: int, batch: int, part: slice = WHOLE) -> Batch:
        """`batch` segments, each possible start equally likely; only `part` of them is read and returned."""
        picks = np.random.default_rng([seed, step]).integers(self._ends[-1], size=batch)[part]
        owners = np.searchsorted(self._ends, picks, side="right")
        starts = self._ends[owners] - 1 - picks
        clips = [self._material.clips[owner] for owner in owners]
        units = [clip.units[start : start + self._frames] for clip, start in zip(clips, starts, strict=True)]
        samples = [
            self._material.recordings.part(clip, int(start), self._frames)
            for clip, start in zip(clips, starts, strict=True)
        ]
        return Batch(
            units=torch.from_numpy(np.stack(units).astype(np.int64)),
            dvector=torch.from_numpy(self._material.dvectors[owners]),
            language=torch.tensor([clip.language for clip in clips]),
            samples=torch.from_numpy(np.stack(samples)),
        )


def draw_durations(clips: Sequence[Clip], *, seed: int, step: int, batch: int) -> DurationBatch:
    """De-duplicated sequences of `batch` random clips; what is drawn depends on seed and step alone."""
    picks = np.random.default_rng([seed, step]).integers(len(clips), size=batch)
    return duration_batch([clips[pick] for pick in picks])


def duration_batch(clips: Sequence[Clip]) -> DurationBatch:
    """De-duplicated sequences of these clips, padded to the longest."""
    runs = [run_lengths(clip.units) for clip in clips]
    shape = (len(clips), max(codes.size for codes, _ in runs))
    codes, durations = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, (unit, frames) in enumerate(runs):
        codes[row, : unit.size], durations[row, : unit.size] = unit, frames
    return DurationBatch(
        codes=torch.from_numpy(codes),
        durations=torch.from_numpy(durations),
        language=torch.tensor([clip.language for clip in clips]),
        real=torch.from_numpy(durations > 0),
    )


def spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    """About `count` clips, equally many of each language, evenly spaced over the split."""
    languages = sorted({clip.language for clip in clips})
    chosen = []
    for language in languages:
        own = [clip for clip in clips if clip.language == language]
        share = min(len(own), -(-count // len(languages)))
        chosen += [own[place * len(own) // share] for place in range(share)]
    return chosen
