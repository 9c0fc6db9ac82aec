"""What the vocoder learns from: clips, their audio and what is drawn from them."""

from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.audio import PackWriter
from tongyeok.base.manifests import Manifest
from tongyeok.errors import ManifestError, TrainingError, UnitError
from tongyeok.unit2speech.clips import (
    Clip,
    Material,
    Recordings,
    Segments,
    draw_durations,
    duration_batch,
    make_clips,
    spread,
)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    """Clips of 5, 30 and 40 units whose samples tell their place: sample i of clip c is (1000 c + i // 320) / 32768."""
    made = []
    with PackWriter(tmp_path / "en-000.zip") as pack:
        for number, frames in enumerate((5, 30, 40)):
            samples = (1000 * number + np.arange(frames * 320 + 100) // 320) / 32768
            location = pack.add(f"u{number}", samples.astype(np.float32))
            units = (np.arange(frames, dtype=np.int32) // 2 + number) % 7
            made.append(Clip(utt=f"u{number}", language=number % 2, location=location, units=units))
    return made


def material(clips: list[Clip], folder: Path, *, cache_bytes: int = 1 << 20) -> Material:
    dvectors = np.arange(len(clips), dtype=np.float32)[:, None].repeat(256, axis=1)
    return Material(clips=tuple(clips), dvectors=dvectors, recordings=Recordings(folder, cache_bytes=cache_bytes))


def manifest(utt: str, samples: int) -> Manifest:
    return Manifest(root=Path(), utts=(utt,), locations=("a.flac",), samples=(samples,))


@pytest.mark.parametrize(("count", "kept"), [(99, 99), (100, 100), (101, 100)])
def test_one_frame_of_difference_is_cut(count: int, kept: int) -> None:
    """Units and audio that differ by at most one frame are cut to the shorter."""
    units = {"u": np.zeros(count, np.int32)}
    (clip,) = make_clips(manifest("u", 32_100), units=units, language_of={"u": "en"}, languages=("en",))
    assert clip.units.size == kept


def test_more_difference_is_refused() -> None:
    """Units that differ from their audio by more than a frame are refused by name, with both figures."""
    units = {"u": np.zeros(98, np.int32)}
    with pytest.raises(UnitError, match=r"u: expected 100 units for 32100 samples \(one per 320\), got 98; rebuild"):
        make_clips(manifest("u", 32_100), units=units, language_of={"u": "en"}, languages=("en",))


def test_missing_units_and_utterances_are_named() -> None:
    """An utterance without units, or unknown to the corpus, is named."""
    with pytest.raises(UnitError, match="u: in the manifest but without units"):
        make_clips(manifest("u", 3200), units={}, language_of={"u": "en"}, languages=("en",))
    with pytest.raises(ManifestError, match="u: in the manifest but not in the corpus"):
        make_clips(manifest("u", 3200), units={}, language_of={}, languages=("en",))


def test_segments_hold_their_own_audio(clips: list[Clip], tmp_path: Path) -> None:
    """Units, audio, d-vector and language of a segment come from the same place of the same clip."""
    batch = Segments(material(clips, tmp_path), frames=20).draw(seed=1, step=0, batch=64)
    assert batch.samples.shape == (64, 6400)
    places = np.round(batch.samples.numpy()[:, ::320] * 32768).astype(int)
    owners, starts = places[:, 0] // 1000, places[:, 0] % 1000
    assert set(owners) == {1, 2}, "the clip shorter than a segment is never drawn"
    assert {int(start) for start in starts[owners == 1]} <= set(range(11))
    for row in range(64):
        clip = clips[owners[row]]
        assert (places[row] == 1000 * owners[row] + starts[row] + np.arange(20)).all()
        assert batch.units[row].tolist() == clip.units[starts[row] : starts[row] + 20].tolist()
        assert batch.dvector[row, 0] == owners[row]
        assert batch.language[row] == clip.language


def test_every_start_is_drawn(clips: list[Clip], tmp_path: Path) -> None:
    """Each possible start of each clip is about equally likely."""
    batch = Segments(material(clips, tmp_path), frames=20).draw(seed=1, step=0, batch=6400)
    places, counts = np.unique(np.round(batch.samples.numpy()[:, 0] * 32768), return_counts=True)
    assert len(places) == 11 + 21
    assert counts.min() > 140
    assert counts.max() < 260


def test_draws_depend_on_seed_and_step_alone(clips: list[Clip], tmp_path: Path) -> None:
    """The same seed and step draw the same batch, in any order and with any cache; other steps draw others."""
    roomy, tight = (Segments(material(clips, tmp_path, cache_bytes=size), frames=20) for size in (1 << 20, 1))
    later = roomy.draw(seed=1, step=5, batch=8)
    again = [tight.draw(seed=1, step=step, batch=8) for step in (5, 6)]
    assert (later.samples == again[0].samples).all()
    assert not (later.samples == again[1].samples).all()
    assert (
        draw_durations(clips, seed=1, step=5, batch=8).codes[0]
        == draw_durations(clips, seed=1, step=5, batch=8).codes[0]
    ).all()


def test_cache_is_bounded(clips: list[Clip], tmp_path: Path) -> None:
    """The cache holds the recordings used last, within its size."""
    recordings = Recordings(tmp_path, cache_bytes=2 * (40 * 320 + 100))
    for clip in (*clips, clips[0]):
        assert recordings.whole(clip).size == clip.units.size * 320
        assert sum(kept.nbytes for kept in recordings._kept.values()) <= 2 * (40 * 320 + 100)
    assert list(recordings._kept) == [clips[0].location]


def test_recordings_shorter_than_their_units_are_refused(clips: list[Clip], tmp_path: Path) -> None:
    """A recording that does not reach its last unit is named."""
    clip = Clip(utt="u0", language=0, location=clips[0].location, units=np.zeros(6, np.int32))
    with pytest.raises(UnitError, match="u0: 6 units but only 1700 samples"):
        Recordings(tmp_path).whole(clip)


def test_segments_longer_than_every_clip_are_refused(clips: list[Clip], tmp_path: Path) -> None:
    """A segment longer than the longest clip is refused, with that clip's length."""
    with pytest.raises(TrainingError, match=r"segment_frames: expected at most 40, .* got 41"):
        Segments(material(clips, tmp_path), frames=41)


def test_duration_batches_are_deduplicated(clips: list[Clip]) -> None:
    """Duration batches hold each run once, with its length, and know their padding."""
    batch = duration_batch(clips[:2])
    assert batch.codes[0, :4].tolist() == [0, 1, 2, 0]
    assert batch.durations[0, :4].tolist() == [2, 2, 1, 0]
    assert batch.real.sum(dim=1).tolist() == [3, 15]
    assert batch.durations.sum(dim=1).tolist() == [5, 30]


def test_spread_takes_equally_from_each_language(clips: list[Clip]) -> None:
    """The clips chosen for validation come from every language and from all over the split."""
    many = [Clip(utt=f"u{number}", language=number % 2, location="", units=clips[0].units) for number in range(20)]
    assert [clip.utt for clip in spread(many, 4)] == ["u0", "u10", "u1", "u11"]
    assert len(spread(many, 100)) == 20
