"""Lines `{"audio": …, "duration": …, "hubert": "u u u …"}`, which speech-resynthesis and its descendants train from.

The form is that of fairseq's `examples/emotion_conversion/preprocess/build_hifigan_manifest.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP
from tongyeok.base.files import whole, write_text
from tongyeok.base.manifests import Manifest
from tongyeok.base.units import Units
from tongyeok.errors import ManifestError, UnitError


def write_metadata(
    path: Path, manifest: Manifest, units: Mapping[str, Units], *, key: str, audio: Path | None
) -> tuple[int, int]:
    """Write one line for each recording of `manifest` that has units, in its order.

    Args:
        path: the file to write.
        manifest: recordings, whole files or clips in packs.
        units: full sequences, 50 a second, of one language or several.
        key: what the units are called: `hubert`, or e.g. `hubert_km100` for fairseq's CodeDataset.
        audio: folder that takes each clip of a pack as a FLAC file, byte for byte; needed only for packs.

    Returns:
        How many recordings were written, and how many the manifest has.

    Raises:
        ManifestError: clips lie in packs and `audio` is not given, or no recording has units.
        UnitError: a sequence does not fit its recording.
    """
    lines = []
    rows = zip(manifest.utts, manifest.locations, manifest.samples, strict=True)
    for utt, location, samples in tqdm(rows, total=len(manifest.utts), desc="metadata", unit="utt", disable=None):
        if utt not in units:
            continue
        if len(units[utt]) != samples // UNIT_HOP:
            raise UnitError(
                f"{utt}: expected {samples // UNIT_HOP} units for {samples} samples, one per {UNIT_HOP}, got "
                f"{len(units[utt])}; take full sequences of this manifest"
            )
        row = {
            "audio": str(_file(manifest.root, location, utt=utt, audio=audio)),
            "duration": samples / SAMPLE_RATE,
            key: " ".join(map(str, units[utt].tolist())),
        }
        lines.append(json.dumps(row))
    if not lines:
        raise ManifestError(f"{path}: no recording of the manifest has units; take those that were made from it")
    write_text(path, "\n".join(lines) + "\n")
    return len(lines), len(manifest.utts)


def _file(root: Path, location: str, *, utt: str, audio: Path | None) -> Path:
    """The recording as a file of its own, unpacked where it is a clip in a pack."""
    pack, _, place = location.partition(":")
    if not place:
        return root / location
    if audio is None:
        raise ManifestError(
            f"{location}: a clip in a pack, which vocoders do not read; give --audio a folder for files"
        )
    offset, size = (int(number) for number in place.split(":"))
    target = audio.resolve() / f"{utt}.flac"
    with (root / pack).open("rb") as file, whole(target) as partial:
        file.seek(offset)
        partial.write_bytes(file.read(size))
    return target
