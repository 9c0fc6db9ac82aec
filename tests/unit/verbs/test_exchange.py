"""What cannot be exchanged is refused, with what to do; what can be goes there and back."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tongyeok.__main__ import main
from tongyeok.base.units import UnitSource, read_units, write_units
from tongyeok.exchange.manifests import read_tsv
from tongyeok.speech2unit.codebook import Codebook

UNITS = {"a_en": np.array([3, 3, 1, 1, 1, 2], dtype=np.int32), "b_en": np.array([0, 2, 2], dtype=np.int32)}


@pytest.fixture
def codebook(tmp_path: Path) -> Path:
    """A codebook of four MFCC clusters."""
    path = tmp_path / "codebook.safetensors"
    centroids = np.random.default_rng(0).standard_normal((4, 39)).astype(np.float32)
    Codebook(centroids=centroids, feature="mfcc", layer=None, checkpoint="").save(path)
    return path


@pytest.fixture
def tsv(tmp_path: Path) -> Path:
    """A unit file as the stage writes it."""
    write_units(tmp_path / "en.tsv", UnitSource(codebook="c", checkpoint="", clusters=4), UNITS)
    return tmp_path / "en.tsv"


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The message of a refusal."""
    capsys.readouterr()
    assert main(["exchange", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_units_go_there_and_back(tsv: Path, codebook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`.unit` lines turn back into the same sequences, now with the codebook's name."""
    lines, back = tmp_path / "en.unit", tmp_path / "back.tsv"
    assert main(["exchange", "units", str(tsv), str(lines)]) == 0
    assert lines.read_text() == "a_en|3 3 1 1 1 2\nb_en|0 2 2\n"
    assert main(["exchange", "units", str(lines), str(back), "--codebook", str(codebook)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{back}: 2 utterances"
    source, found = read_units(back)
    assert source.clusters == 4
    assert {utt: row.tolist() for utt, row in found.items()} == {utt: row.tolist() for utt, row in UNITS.items()}


def test_units_without_durations_come_back_only_when_said(
    tsv: Path, codebook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without a single repeat is taken for de-duplicated, and refused unless that is meant."""
    lines, back = tmp_path / "en.unit", tmp_path / "back.tsv"
    assert main(["exchange", "units", str(tsv), str(lines), "--distinct"]) == 0
    assert lines.read_text() == "a_en|3 1 2\nb_en|0 2\n"
    shared = ["units", lines, back, "--codebook", codebook]
    assert "no unit of 2 utterances is repeated, so that durations are lost" in refused(capsys, *shared)
    assert not back.exists()
    assert main(["exchange", *map(str, shared), "--distinct"]) == 0
    assert read_units(back)[1]["a_en"].tolist() == [3, 1, 2]


def test_bare_lines_have_their_names_in_a_list(
    tsv: Path, codebook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a file list units go there and back; a list of another length is refused."""
    lines, names, back = tmp_path / "en.unit", tmp_path / "en.list", tmp_path / "back.tsv"
    assert main(["exchange", "units", str(tsv), str(lines), "--list", str(names)]) == 0
    assert lines.read_text() == "3 3 1 1 1 2\n0 2 2\n"
    assert names.read_text() == "a_en\nb_en\n"
    shared = ["units", lines, back, "--codebook", codebook, "--list", names]
    assert main(["exchange", *map(str, shared)]) == 0
    assert {utt: row.tolist() for utt, row in read_units(back)[1].items()} == {
        utt: row.tolist() for utt, row in UNITS.items()
    }
    names.write_text("a_en\n")
    assert "en.list: expected 2 names, one for each line of" in refused(capsys, *shared)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a_en 1 2 2\n", "en.unit:1: expected `utt|u u u …`, got 'a_en 1 2 2'; bare lines need their names (--list)"),
        ("a|1 1\na|2\n", "en.unit:2: expected a name that is new, got 'a'"),
        ("a|1 x\n", "en.unit:1: expected integers for 'a', got '1 x'"),
        ("a|1 1\nb|4\n", "en.unit:2: b: expected units in 0..3 of the codebook, at least one, got '4'"),
    ],
)
def test_unit_lines_that_are_none_are_refused(
    codebook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    """A line without a bar, a name twice, a word and a unit beyond the codebook are named with their line."""
    (tmp_path / "en.unit").write_text(text)
    assert message in refused(capsys, "units", tmp_path / "en.unit", tmp_path / "en.tsv", "--codebook", codebook)


def test_a_pickle_is_read_only_when_its_author_is_trusted(
    codebook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A km.bin is refused before it is opened; with the flag it must be a k-means model of the features said."""
    foreign, target = tmp_path / "km.bin", tmp_path / "new.safetensors"
    foreign.write_bytes(b"anything")
    assert "runs its author's code when it is read" in refused(capsys, "kmeans", foreign, target)
    assert main(["exchange", "kmeans", str(codebook), str(foreign)]) == 0
    assert main(["exchange", "kmeans", str(foreign), str(target), "--allow-pickle"]) == 0
    assert target.read_bytes() == codebook.read_bytes()
    message = refused(capsys, "kmeans", foreign, target, "--allow-pickle", "--layer", "6")
    assert "expected both (features of HuBERT) or neither (MFCC)" in message
    assert "expected one name in .safetensors" in refused(capsys, "kmeans", foreign, tmp_path / "other.bin")


def test_smoothed_codebooks_stay(codebook: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """fairseq's tools do not smooth features, so that a codebook of smoothed ones would label them wrongly."""
    loaded = Codebook.load(codebook)
    Codebook(centroids=loaded.centroids, feature="mfcc", layer=None, checkpoint="", smoothing=1).save(codebook)
    assert "features smoothed 1 times" in refused(capsys, "kmeans", codebook, tmp_path / "km.bin")


def test_labels_must_be_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing shard and a label beyond K are named, and nothing is written."""
    (tmp_path / "train_0_2.km").write_text("1 2\n3 1\n")
    shared = ["labels", tmp_path, "train", tmp_path / "out", "--nshard", "2", "--clusters"]
    assert "train_1_2.km: expected the labels of shard 1 of 2" in refused(capsys, *shared, "4")
    assert "train_0_2.km:2: expected labels in 0..2, got '3'" in refused(capsys, *shared, "3")
    assert not list((tmp_path / "out").iterdir())


def test_manifests_are_of_speech_that_hubert_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder, another rate, a broken file and a share beyond 1 are refused; a good one has every recording."""
    folder = tmp_path / "wavs"
    folder.mkdir()
    shared = ["manifest", folder, "--ext", "wav", "--dest", tmp_path]
    assert "no recording is called **/*.wav" in refused(capsys, *shared)
    soundfile.write(folder / "a.wav", np.zeros(800), 16_000)
    assert "expected a share between 0 and 1, got 10.0" in refused(capsys, *shared, "--valid-percent", "10")
    assert main(["exchange", *map(str, shared), "--valid-percent", "0"]) == 0
    assert read_tsv(tmp_path / "train.tsv").samples == (800,)
    soundfile.write(folder / "b.wav", np.zeros(800), 48_000)
    assert "b.wav: expected 16000 Hz mono, which HuBERT reads, got 48000 Hz" in refused(capsys, *shared)
    (folder / "b.wav").write_bytes(b"no speech")
    assert "b.wav: expected a recording" in refused(capsys, *shared)


def test_shards_are_of_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No manifest, a rank that is none, an empty shard and a layer without a model are refused."""
    shared = ["features", tmp_path, "train", tmp_path / "out"]
    assert "write it with `tongyeok exchange manifest`" in refused(capsys, *shared)
    (tmp_path / "train.tsv").write_text("/nowhere\na.wav\t800\n")
    assert "expected 0 <= rank < nshard (2), got 2" in refused(capsys, *shared, "--nshard", "2", "--rank", "2")
    assert "shard 0 of 2 of its 1 recordings is empty" in refused(capsys, *shared, "--nshard", "2", "--rank", "0")
    assert "expected both (HuBERT) or neither (MFCC)" in refused(capsys, *shared, "--layer", "6")


def test_metadata_want_full_sequences(tsv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Units that do not fit their recording, and recordings without units, are refused; files need no unpacking."""
    (tmp_path / "train.tsv").write_text("wavs\na.wav\t1999\nc.wav\t640\n")
    (tmp_path / "train.utt").write_text("a_en\nc_en\n")
    shared = ["vocoder-metadata", tmp_path, "train", tsv, tmp_path / "train.txt"]
    assert main(["exchange", *map(str, shared)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'train.txt'}: 1 of the 2 recordings of train\n"
    row = f'{{"audio": "{tmp_path}/wavs/a.wav", "duration": 0.1249375, "hubert": "3 3 1 1 1 2"}}\n'
    assert (tmp_path / "train.txt").read_text() == row
    (tmp_path / "train.tsv").write_text("wavs\na.wav\t1600\nc.wav\t640\n")
    assert "a_en: expected 5 units for 1600 samples, one per 320, got 6" in refused(capsys, *shared)
    (tmp_path / "train.utt").write_text("x_en\nc_en\n")
    assert "no recording of the manifest has units" in refused(capsys, *shared)
