"""Stage `units`: the unit sequence of every utterance of every split, 50 units a second, one file per language.

Units come from the last codebook. A codebook of HuBERT features gives one unit per frame; a codebook of MFCC, the
baseline that HuBERT has to beat, gives one unit per two frames of 10 ms, by their mean squared distance.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from tongyeok.base.audio import MFCC_HOP, UNIT_HOP, UNIT_RATE, exact_div
from tongyeok.base.executor import remove_shards, write_shards
from tongyeok.base.files import sha256, write_json
from tongyeok.base.manifests import SPLITS, Manifest, read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.units import Units, UnitSource, run_lengths, write_units
from tongyeok.base.utterances import read_utterances
from tongyeok.config import section
from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import Extractor, MfccExtractor, matching_extractor, work_through
from tongyeok.speech2unit.mfcc import WINDOW
from tongyeok.speech2unit.shards import Models, ShardedUnits, Stretch, cut, lines

FOLD = exact_div(UNIT_HOP, MFCC_HOP)  # MFCC frames per unit
MARGIN = exact_div(WINDOW - MFCC_HOP, 2)  # samples on either side that make MFCC frames = samples // 160


@section
class UnitsConfig:
    """Section `units`."""

    switch_penalty: float  # cost of changing the unit, in the codebook's `switch_scale`; paper: 0, nearest centroid

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.switch_penalty < 0:
            raise ValueError(f"switch_penalty: expected 0 (nearest centroid) or more, got {self.switch_penalty}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Corpus, manifest, the last codebook, and the HuBERT it belongs to (none for a codebook of MFCC)."""

    corpus: Path
    manifest: Path
    kmeans: Path
    hubert: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding(Models):
    """How a shard's units are computed."""

    def open(self, *, progress: bool) -> Callable[[Stretch], bytes]:
        """Load codebook and HuBERT; a stretch becomes lines of units."""
        codebook = Codebook.load(self.kmeans / FILE)
        extractor = unit_extractor(codebook, hubert=self.hubert)

        def compute(part: Stretch) -> bytes:
            title = f"units of {part.title}" if progress else None
            return lines(
                encode(part.manifest, codebook, extractor, switch_penalty=self.switch_penalty, description=title)
            )

        return compute


def encode(
    manifest: Manifest, codebook: Codebook, extractor: Extractor, *, switch_penalty: float, description: str | None
) -> Iterator[tuple[str, Units]]:
    """Yield each utterance of `manifest` with its samples // 320 units.

    Raises:
        UnitError: the features give another number of units.
    """
    decode = partial(decode_units, codebook=codebook, switch_penalty=switch_penalty)
    units_of = work_through(manifest, extractor, decode, description=description)
    for (utt, units), samples in zip(units_of, manifest.samples, strict=True):
        if len(units) != samples // UNIT_HOP:
            raise UnitError(f"{utt}: expected {samples // UNIT_HOP} units from {samples} samples, got {len(units)}")
        yield utt, units


def decode_units(
    frames: Float[np.ndarray, "frames dim"], codebook: Codebook, *, switch_penalty: float
) -> Int[np.ndarray, " units"]:
    """The units, 50 a second, of a recording's feature frames."""
    distances = codebook.distances(frames)
    if codebook.feature == "mfcc":
        distances = fold(distances)
    return codebook.decode(distances, switch_penalty=switch_penalty)


def unit_extractor(codebook: Codebook, *, hubert: Path | None) -> Extractor:
    """The extractor of the features that `codebook` was fitted on, with margins that give samples // 320 units.

    Raises:
        UnitError: `hubert` holds another checkpoint than the codebook's, or none is needed or given.
        CheckpointError: the folder has no checkpoint.
    """
    if codebook.feature == "mfcc" and hubert is None:
        return MfccExtractor(smoothing=codebook.smoothing, margin=MARGIN)
    return matching_extractor(codebook, hubert=hubert)


def fold(distances: Float[np.ndarray, "frames clusters"]) -> Float[np.ndarray, "units clusters"]:
    """Mean distance of the two MFCC frames that make one unit; an odd last frame is left out."""
    count = len(distances) // FOLD
    pairs = distances[: count * FOLD].reshape(count, FOLD, distances.shape[1])
    return np.asarray(pairs.mean(axis=1), dtype=np.float32)


def run(cfg: UnitsConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Encode every split and write the units of each language in the corpus's order."""
    path = inputs.kmeans / FILE
    codebook = Codebook.load(path)
    job = Encoding(
        kmeans=inputs.kmeans.absolute(),
        hubert=inputs.hubert and inputs.hubert.absolute(),
        audio=read_manifest(inputs.manifest, SPLITS[0]).root,
        switch_penalty=cfg.switch_penalty,
    )
    shards = write_shards(job, cut(inputs.manifest, SPLITS), executor=context.executor, scratch=context.scratch)
    sequences = ShardedUnits(shards)
    members: dict[str, list[str]] = {}
    for utterance in read_utterances(inputs.corpus):
        if utterance.utt in sequences:
            members.setdefault(utterance.lang, []).append(utterance.utt)
    missing = set(sequences).difference(*members.values())
    if missing:
        raise UnitError(
            f"{inputs.manifest}: {len(missing)} utterances are not in the corpus, the first is {min(missing)!r}; "
            "rebuild `manifest`"
        )
    languages = {lang: sequences.of(utts) for lang, utts in sorted(members.items())}
    source = UnitSource(codebook=sha256(path), checkpoint=codebook.checkpoint, clusters=codebook.clusters)
    for lang, units in languages.items():
        write_units(outputs / f"{lang}.tsv", source, units)
    metrics = {f"{lang}/units_per_second": units_per_second(units.values()) for lang, units in languages.items()}
    write_json(outputs / "metrics.json", metrics)
    remove_shards(shards)
    return metrics


def units_per_second(sequences: Iterable[Units]) -> float:
    """How many units a second remain when adjacent repeats are merged."""
    kept = frames = 0
    for units in sequences:
        kept += len(run_lengths(units)[0])
        frames += len(units)
    return UNIT_RATE * kept / max(1, frames)
