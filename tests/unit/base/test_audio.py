"""base/audio.py."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from tongyeok.base import audio
from tongyeok.errors import CorpusError


def tone(seconds: float, *, rate: int = audio.SAMPLE_RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_pack_round_trip(tmp_path: Path) -> None:
    """What a pack stores under a location is what `read_location` gives back, to 16 bits."""
    clips = {"a": tone(0.5), "b": tone(1.0)[::-1].copy()}
    with audio.PackWriter(tmp_path / "ko-000.zip") as pack:
        locations = {name: pack.add(name, samples) for name, samples in clips.items()}
    for name, samples in clips.items():
        assert_allclose(audio.read_location(tmp_path, locations[name]), samples, atol=2**-15)
    with zipfile.ZipFile(tmp_path / "ko-000.zip") as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_pack_repeats_byte_for_byte(tmp_path: Path) -> None:
    """The same utterances make the same pack, whenever it is written."""
    for name in ("one.zip", "two.zip"):
        with audio.PackWriter(tmp_path / name) as pack:
            pack.add("a", tone(0.5))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_fairseq_reads_packs(tmp_path: Path) -> None:
    """fairseq's own reader finds, at our locations, the bytes of the one utterance."""
    from fairseq.data.audio.audio_utils import is_sf_audio_data, parse_path, read_from_stored_zip

    with audio.PackWriter(tmp_path / "ko-000.zip") as pack:
        pack.add("first", tone(0.2))
        location = pack.add("second", tone(0.5))
    ours = audio.read_location(tmp_path, location)
    path, (offset, size) = parse_path(str(tmp_path / location))
    data = read_from_stored_zip(path, offset, size)
    assert is_sf_audio_data(data)
    theirs, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == audio.SAMPLE_RATE
    assert np.array_equal(ours, theirs)


def test_resample_keeps_the_tone() -> None:
    """Resampling 44.1 kHz to 16 kHz keeps length and pitch."""
    resampled = audio.resample(tone(1.0, rate=44_100), rate=44_100)
    assert abs(len(resampled) - audio.SAMPLE_RATE) <= 1
    assert np.argmax(np.abs(np.fft.rfft(resampled[:16_000]))) == 220


@pytest.mark.parametrize(
    ("rate", "channels", "found"), [(44_100, 1, "44100 Hz and 1 channels"), (16_000, 2, "16000 Hz and 2 channels")]
)
def test_unpacked_audio_of_another_form_is_refused(tmp_path: Path, rate: int, channels: int, found: str) -> None:
    """Audio that did not pass `corpus` is refused with what was found."""
    soundfile.write(tmp_path / "x.wav", np.zeros((rate, channels), dtype=np.float32), rate)
    with pytest.raises(CorpusError, match=re.escape(f"x.wav: expected 16000 Hz mono, got {found}")):
        audio.read_location(tmp_path, "x.wav")


def test_text_named_wav_is_refused() -> None:
    """Bytes that are no audio are named with their size and a remedy."""
    with pytest.raises(CorpusError, match=r"notes\.wav: expected an audio file .* got 5 bytes .* replace or remove"):
        audio.decode(b"hello", name="notes.wav")


def test_missing_location_is_named(tmp_path: Path) -> None:
    """A location outside any file says which and what to rebuild."""
    with pytest.raises(CorpusError, match=r"ko-000\.zip.*cannot be read.*rebuild the stage `corpus`"):
        audio.read_location(tmp_path, "ko-000.zip:10:20")
