"""The finished vocoder: what it speaks, what it refuses, and how it is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tongyeok.base.units import UnitSource
from tongyeok.errors import CheckpointError, UnitError
from tongyeok.unit2speech.fourier import FourierConfig
from tongyeok.unit2speech.hifigan import HifiganGenerator
from tongyeok.unit2speech.synthesis import UnitVocoder, build_generator
from unit.unit2speech import small_hifigan

SOURCE = UnitSource(codebook="c" * 64, checkpoint="", clusters=10)
DVECTOR = np.full(256, 1 / 16, dtype=np.float32)
UNITS = np.array([3, 3, 3, 7, 7, 1], dtype=np.int32)


@pytest.fixture
def vocoder() -> UnitVocoder:
    """A small vocoder of two languages with random weights."""
    cfg = FourierConfig(
        head="fourier", width=16, layers=2, expansion=2, kernel=7, fft_samples=1280, looks=1, duration_dropout=0.5
    )
    generator = build_generator(cfg, clusters=10, languages=2, seed=1).eval()
    with torch.no_grad():
        generator.durations.proj.bias.fill_(1.2)
    return UnitVocoder(generator=generator, cfg=cfg, languages=("en", "ko"), source=SOURCE)


def test_true_durations_are_kept(vocoder: UnitVocoder) -> None:
    """Without prediction, every unit is one frame of 320 samples."""
    samples = vocoder.synthesise(UNITS, dvector=DVECTOR, lang="ko", predict_durations=False)
    assert samples.shape == (6 * 320,)
    assert samples.dtype == np.float32


def test_repeats_are_dropped_at_the_door(vocoder: UnitVocoder) -> None:
    """With prediction, units with and without their repeats sound the same: nothing is spoken twice as long."""
    repeated = vocoder.synthesise(UNITS, dvector=DVECTOR, lang="ko", predict_durations=True)
    once = vocoder.synthesise(np.array([3, 7, 1]), dvector=DVECTOR, lang="ko", predict_durations=True)
    assert repeated.tobytes() == once.tobytes()
    assert repeated.size % 320 == 0
    assert repeated.size >= 3 * 320


def test_saved_is_loaded(vocoder: UnitVocoder, tmp_path: Path) -> None:
    """A saved vocoder loads to the same waveform, and saves again to the same bytes."""
    vocoder.save(tmp_path / "a")
    loaded = UnitVocoder.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    for name in ("generator.safetensors", "config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for predict in (False, True):
        first, second = (
            one.synthesise(UNITS, dvector=DVECTOR, lang="en", predict_durations=predict) for one in (vocoder, loaded)
        )
        assert first.tobytes() == second.tobytes()


def test_the_head_is_told_by_the_folder(vocoder: UnitVocoder, tmp_path: Path) -> None:
    """A saved HiFi-GAN loads as one, to the same samples and bytes, and a head that does not exist is refused."""
    made = small_hifigan.vocoder()
    made.save(tmp_path / "a")
    loaded = UnitVocoder.load(tmp_path / "a")
    assert isinstance(loaded.generator, HifiganGenerator)
    assert loaded.cfg == made.cfg
    loaded.save(tmp_path / "b")
    for name in ("generator.safetensors", "config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for predict in (False, True):
        first, second = (
            one.synthesise(UNITS, dvector=DVECTOR, lang="en", predict_durations=predict) for one in (made, loaded)
        )
        assert first.tobytes() == second.tobytes()
    description = tmp_path / "a" / "config.json"
    vocoder.save(tmp_path / "a")
    description.write_text(description.read_text().replace('"fourier"', '"griffin"'))
    with pytest.raises(CheckpointError, match=r"'griffin'.*'fourier', 'hifigan'"):
        UnitVocoder.load(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": np.array([3, 10])}, r"expected units in 0\.\.9, got 3\.\.10"),
        ({"units": np.array([-1, 3])}, r"expected units in 0\.\.9, got -1\.\.3"),
        ({"units": np.array([], dtype=np.int32)}, "expected a sequence of at least one unit"),
        ({"dvector": DVECTOR[:128]}, r"expected a d-vector of 256 numbers, got shape \(128,\)"),
        ({"lang": "fr"}, "this vocoder speaks en, ko, not 'fr'"),
        ({"source": UnitSource(codebook="d", checkpoint="", clusters=10)}, "this vocoder speaks units of"),
    ],
)
def test_what_does_not_fit_is_refused(vocoder: UnitVocoder, change: dict[str, object], message: str) -> None:
    """Units out of range or of another codebook, ill-shaped d-vectors and unknown languages are refused."""
    arguments = {"units": UNITS, "dvector": DVECTOR, "lang": "en", "predict_durations": True, "source": SOURCE} | change
    with pytest.raises(UnitError, match=message):
        vocoder.synthesise(arguments.pop("units"), **arguments)  # type: ignore[arg-type]


def test_broken_folders_are_refused(vocoder: UnitVocoder, tmp_path: Path) -> None:
    """A folder whose files are missing, cut, or do not fit each other is refused by name."""
    with pytest.raises(CheckpointError, match="not a vocoder that can be used"):
        UnitVocoder.load(tmp_path)
    vocoder.save(tmp_path)
    weights, description = tmp_path / "generator.safetensors", tmp_path / "config.json"
    values = json.loads(description.read_text())
    values["generator"]["width"] = 32
    description.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="size mismatch"):
        UnitVocoder.load(tmp_path)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a vocoder that can be used"):
        UnitVocoder.load(tmp_path)
