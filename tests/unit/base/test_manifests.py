"""base/manifests.py."""

import shutil
from pathlib import Path

import pytest

from tongyeok.base.manifests import Manifest, absolute_manifest, read_manifest, subset, write_manifest
from tongyeok.errors import ManifestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    manifest = Manifest(
        root=tmp_path / "corpus", utts=("a", "b"), locations=("ko-000.zip:30:9", "x.flac"), samples=(320, 640)
    )
    (tmp_path / "manifest").mkdir()
    write_manifest(tmp_path / "manifest", "train", manifest)
    return tmp_path / "manifest"


def test_round_trip_with_a_relative_root(folder: Path) -> None:
    """The root is stored relative to the manifest and read back absolute."""
    assert (folder / "train.tsv").read_text().splitlines()[0] == "../corpus"
    manifest = read_manifest(folder, "train")
    assert manifest.root == folder.parent / "corpus"
    assert (manifest.utts, manifest.samples) == (("a", "b"), (320, 640))


def test_a_moved_checkout_still_reads(folder: Path, tmp_path: Path) -> None:
    """Moving manifest and corpus together keeps them usable."""
    shutil.copytree(folder.parent, tmp_path / "moved", ignore=shutil.ignore_patterns("moved"))
    assert read_manifest(tmp_path / "moved" / "manifest", "train").root == tmp_path / "moved" / "corpus"


def test_the_copy_for_fairseq_has_an_absolute_root(folder: Path, tmp_path: Path) -> None:
    """fairseq's copy differs only in its first line."""
    absolute_manifest(folder, "train", tmp_path / "absolute.tsv")
    root, *rows = (tmp_path / "absolute.tsv").read_text().splitlines()
    assert root == str(tmp_path / "corpus")
    assert rows == (folder / "train.tsv").read_text().splitlines()[1:]


def test_subset_keeps_rows_parallel(folder: Path) -> None:
    """A subset keeps ids, locations and lengths together."""
    only = subset(read_manifest(folder, "train"), [1])
    assert (only.utts, only.locations, only.samples) == (("b",), ("x.flac",), (640,))


def test_ids_that_do_not_match_rows_are_refused(folder: Path) -> None:
    """A lost id line is an error, never a shift."""
    (folder / "train.utt").write_text("a\n")
    with pytest.raises(ManifestError, match=r"train\.tsv: 2 recordings but train\.utt has 1 ids"):
        read_manifest(folder, "train")


def test_malformed_row_is_named_by_line(folder: Path) -> None:
    """A row without a sample count is named by file and line."""
    (folder / "train.tsv").write_text("../corpus\nko-000.zip:30:9\t320\nx.flac 640\n")
    with pytest.raises(ManifestError, match=r"train\.tsv:3: expected `location<TAB>samples`"):
        read_manifest(folder, "train")


def test_missing_split_names_the_stage(folder: Path) -> None:
    """A split that was not made says which stage makes it."""
    with pytest.raises(ManifestError, match=r"test\.tsv: no such file; run the stage `manifest` first"):
        read_manifest(folder, "test")
