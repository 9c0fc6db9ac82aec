"""Stage units: one file per language with every split, 50 units a second, naming their origin."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.files import sha256
from tongyeok.base.stage import silent
from tongyeok.base.units import UnitSource, read_units
from tongyeok.base.utterances import read_utterances, write_utterances
from tongyeok.config import build
from tongyeok.errors import ConfigError, UnitError
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.units import Inputs, UnitsConfig, fold, run, units_per_second
from unit.speech2unit.toy_speech import FAKE_WIDTH, Speech


def _kmeans(folder: Path, codebook: Codebook) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    codebook.save(folder / FILE)
    return folder


@pytest.fixture
def kmeans(tmp_path: Path, hubert: Path) -> Path:
    """A codebook of six loudness levels for the fake HuBERT."""
    centroids = np.linspace(0, 6, 6, dtype=np.float32)[:, None].repeat(FAKE_WIDTH, axis=1)
    checkpoint = sha256(hubert / "checkpoint.pt")
    codebook = Codebook(centroids=centroids, feature="hubert", layer=1, checkpoint=checkpoint)
    return _kmeans(tmp_path / "kmeans", codebook)


def test_every_utterance_gets_its_units(speech: Speech, kmeans: Path, hubert: Path, tmp_path: Path) -> None:
    """Each language's file has all splits in the corpus's order, samples // 320 units each, and one named origin."""
    inputs = Inputs(corpus=speech.corpus, manifest=speech.manifest, kmeans=kmeans, hubert=hubert)
    outputs = tmp_path / "units"
    metrics = run(UnitsConfig(switch_penalty=0.0), inputs=inputs, outputs=outputs, context=silent(tmp_path))
    corpus = read_utterances(speech.corpus)
    for lang in ("en", "ko"):
        source, units = read_units(outputs / f"{lang}.tsv")
        checkpoint = sha256(hubert / "checkpoint.pt")
        assert source == UnitSource(codebook=sha256(kmeans / FILE), checkpoint=checkpoint, clusters=6)
        assert list(units) == [row.utt for row in corpus if row.lang == lang]
        assert [len(units[row.utt]) for row in corpus if row.lang == lang] == [
            row.samples // 320 for row in corpus if row.lang == lang
        ]
        assert 0 < metrics[f"{lang}/units_per_second"] <= 50


def test_mfcc_units_come_at_the_same_rate(speech: Speech, tmp_path: Path) -> None:
    """A codebook of MFCC, at 100 frames a second, gives 50 units a second too, whatever the length."""
    centroids = 20 * np.random.default_rng(0).standard_normal((5, 39)).astype(np.float32)
    codebook = Codebook(centroids=centroids, feature="mfcc", layer=None, checkpoint="")
    kmeans = _kmeans(tmp_path / "kmeans", codebook)
    inputs = Inputs(corpus=speech.corpus, manifest=speech.manifest, kmeans=kmeans)
    run(UnitsConfig(switch_penalty=1.0), inputs=inputs, outputs=tmp_path, context=silent(tmp_path))
    samples = {row.utt: row.samples for row in read_utterances(speech.corpus)}
    for lang in ("en", "ko"):
        _, units = read_units(tmp_path / f"{lang}.tsv")
        assert {utt: len(sequence) for utt, sequence in units.items()} == {utt: samples[utt] // 320 for utt in units}


def test_pairs_of_frames_share_a_unit() -> None:
    """Two MFCC frames of 10 ms count by their mean distance; an odd last frame is left out."""
    distances = np.array([[0, 4], [2, 1], [9, 9]], dtype=np.float32)
    assert fold(distances).tolist() == [[1, 2.5]]


def test_units_per_second_counts_changes() -> None:
    """Merged repeats over seconds: 3 and 1 units in 5 and 5 frames of 20 ms make 20 a second."""
    assert units_per_second([np.array([1, 1, 2, 2, 1]), np.array([3, 3, 3, 3, 3])]) == 20


def test_utterances_unknown_to_the_corpus_are_refused(
    speech: Speech, kmeans: Path, hubert: Path, tmp_path: Path
) -> None:
    """A manifest of another corpus is refused by the first utterance that is missing."""
    other = tmp_path / "corpus"
    write_utterances(other, [replace(row, utt=f"x{row.utt}") for row in read_utterances(speech.corpus)])
    inputs = Inputs(corpus=other, manifest=speech.manifest, kmeans=kmeans, hubert=hubert)
    with pytest.raises(
        UnitError, match="20 utterances are not in the corpus, the first is 'g0_en'; rebuild `manifest`"
    ):
        run(UnitsConfig(switch_penalty=0.0), inputs=inputs, outputs=tmp_path / "units", context=silent(tmp_path))


def test_a_negative_penalty_is_refused() -> None:
    """The penalty is at least 0."""
    with pytest.raises(ConfigError, match="switch_penalty: expected 0"):
        build(UnitsConfig, {"switch_penalty": -0.1}, where="units")
