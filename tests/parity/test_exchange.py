"""What `tongyeok exchange` writes is what fairseq's own scripts write, and they read it.

The scripts run as they are installed. Declared shims: a sorted listing for `wav2vec_manifest`, torchaudio from its
Python source (`torchaudio_source`), `npy_append_array` (`fairseq_scripts`), and `.cuda()` without effect for
`dump_hubert_feature`; unit readers are taken out of their files, whose other imports want packages that are not there
or a logger of their own.
"""

import ast
import glob
import importlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pytest
import soundfile
import torch

from parity import torchaudio_source
from parity.fairseq_scripts import run, script, with_growing_arrays
from parity.record import Record, compared
from tongyeok.__main__ import main
from tongyeok.base.audio import UNIT_HOP
from tongyeok.base.manifests import absolute_manifest, read_manifest
from tongyeok.base.units import UnitSource, run_lengths, write_units
from tongyeok.speech2unit.codebook import Codebook
from tongyeok.speech2unit.mfcc import mfcc
from unit.speech2unit import small_hubert
from unit.speech2unit.toy_speech import Speech, build, noise

KMEANS = ("hubert", "simple_kmeans")
MFCC_TOLERANCE = 5e-4  # absolute, on coefficients of magnitude up to 100
HUBERT_TOLERANCE = 1e-4  # absolute, on layer-normalised float32 features of unit variance
CLUSTERS = 20
SHARDS = 3


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of recordings, some in folders of their own, one hidden and one linked."""
    folder = tmp_path / "recordings"
    for number, name in enumerate(["b.flac", "a/x.flac", "a/y.flac", "a/b/c.flac", "c.wav", ".hidden.flac", "d.flac"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, noise(1600 + 7 * number, seed=number), 16_000)
    (folder / "link.flac").symlink_to(folder / "a" / "x.flac")
    return folder


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Clips in packs."""
    return build(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def stock_manifest(speech: Speech, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest with an absolute root, as fairseq's scripts need it."""
    folder = tmp_path_factory.mktemp("manifest")
    for split in ("train", "valid"):
        absolute_manifest(speech.manifest, split, folder / f"{split}.tsv")
    return folder


@pytest.mark.parametrize(("share", "seed"), [(0.5, 1), (0.3, 42), (0.0, 42), (1.0, 3)])
def test_manifests_are_the_bytes_of_wav2vec_manifest(
    recordings: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record, share: float, seed: int
) -> None:
    """From the same, sorted listing and the same seed come the same files."""
    ours, theirs = recordings.parent / "ours", recordings.parent / "theirs"
    shared = [str(recordings), "--valid-percent", str(share), "--seed", str(seed), "--ext", "flac"]
    assert main(["exchange", "manifest", *shared, "--dest", str(ours)]) == 0
    listing = glob.iglob
    monkeypatch.setattr(glob, "iglob", lambda *args, **options: sorted(listing(*args, **options)))
    run(script("wav2vec", "wav2vec_manifest.py"), *shared, "--dest", theirs)
    names = sorted(path.name for path in theirs.iterdir())
    assert names == sorted(path.name for path in ours.iterdir())
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    compared(
        record_property,
        tool="`wav2vec_manifest.py`, its listing sorted",
        source=f"a folder of 6 FLAC files, one of them a link, --valid-percent {share} --seed {seed}",
        result=f"equal bytes: {', '.join(names)}",
    )


def test_an_unsorted_listing_gives_the_same_recordings(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a listing in another order the original lists the same rows, but draws another split: ours does not move."""
    script_ = script("wav2vec", "wav2vec_manifest.py")
    shared = [str(recordings), "--valid-percent", "0.5", "--seed", "1"]
    assert main(["exchange", "manifest", *shared, "--dest", str(tmp_path / "ours")]) == 0
    listing = glob.iglob
    for name, backwards in (("forwards", False), ("backwards", True)):
        monkeypatch.setattr(glob, "iglob", lambda *a, b=backwards, **o: sorted(listing(*a, **o), reverse=b))
        run(script_, *shared, "--dest", tmp_path / name)
    rows = {
        name: [set((tmp_path / name / f"{split}.tsv").read_text().splitlines()[1:]) for split in ("train", "valid")]
        for name in ("ours", "forwards", "backwards")
    }
    assert rows["ours"] == rows["forwards"] != rows["backwards"]
    assert rows["forwards"][0] | rows["forwards"][1] == rows["backwards"][0] | rows["backwards"][1]


@pytest.mark.parametrize("rank", range(SHARDS))
def test_mfcc_shards_equal_dump_mfcc_feature(
    stock_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record, rank: int
) -> None:
    """The same lengths to the byte for every shard, and frames within the tolerance of what the script means.

    That is its result in float64. In float32, as it stands, it is itself up to 5.3e-4 away from that on this input:
    log energies of nearly empty mel bands carry the rounding of its spectrum.
    """
    ours, theirs, exact = tmp_path / "ours", tmp_path / "theirs", tmp_path / "exact"
    shard = ["--nshard", str(SHARDS), "--rank", str(rank)]
    assert main(["exchange", "features", str(stock_manifest), "train", str(ours), *shard]) == 0
    with_growing_arrays(monkeypatch)
    dump = script(*KMEANS, "dump_mfcc_feature.py")
    with torchaudio_source.shim():
        run(dump, stock_manifest, "train", SHARDS, rank, theirs)
    with torchaudio_source.shim(dtype=torch.float64):
        run(dump, stock_manifest, "train", SHARDS, rank, exact)
    stem = f"train_{rank}_{SHARDS}"
    found, stock = np.load(ours / f"{stem}.npy"), np.load(theirs / f"{stem}.npy")
    assert (ours / f"{stem}.len").read_bytes() == (theirs / f"{stem}.len").read_bytes()
    assert (found.dtype, found.shape) == (stock.dtype, stock.shape)
    true = np.load(exact / f"{stem}.npy")
    assert true.dtype == np.float64
    largest, own = float(np.abs(found - true).max()), float(np.abs(stock - true).max())
    compared(
        record_property,
        tool="`dump_mfcc_feature.py` on torchaudio's Python source",
        source=f"shard {rank} of {SHARDS}, {len(found)} frames x {found.shape[1]}",
        result=f"`.len` equal bytes; `.npy` at most {np.abs(found - stock).max():.1e} from the script's; "
        f"{largest:.1e} from its float64 value, the script itself {own:.1e}",
    )
    assert largest < MFCC_TOLERANCE
    assert float(true.std()) > 0.5, "features without variance would equal anything"


def test_hubert_shards_equal_dump_hubert_feature(
    speech: Speech, stock_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """A layer's frames of bare samples are the original's, in whole and cut into stretches of 0.5 s."""
    checkpoint = small_hubert.write_checkpoint(tmp_path / "hubert.pt", convolutions=small_hubert.CONVOLUTIONS["base"])
    with_growing_arrays(monkeypatch)
    for kind in (torch.nn.Module, torch.Tensor):
        monkeypatch.setattr(kind, "cuda", lambda self: self)
    for name, stretch in (("whole", 1_600_000), ("stretches", 8_000)):
        monkeypatch.setattr("tongyeok.exchange.features.STRETCH", stretch)
        ours, theirs = tmp_path / name / "ours", tmp_path / name / "theirs"
        options = ["--checkpoint", str(checkpoint), "--layer", "2"]
        assert main(["exchange", "features", str(speech.manifest), "valid", str(ours), *options]) == 0
        arguments = [stock_manifest, "valid", checkpoint, 2, 1, 0, theirs, "--max_chunk", stretch]
        with torchaudio_source.shim():
            run(script(*KMEANS, "dump_hubert_feature.py"), *arguments)
        stem = "valid_0_1"
        assert (ours / f"{stem}.len").read_bytes() == (theirs / f"{stem}.len").read_bytes()
        found, expected = np.load(ours / f"{stem}.npy"), np.load(theirs / f"{stem}.npy")
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        largest = float(np.abs(found - expected).max())
        compared(
            record_property,
            tool="`dump_hubert_feature.py`, `.cuda()` without effect",
            source=f"HuBERT of the test, layer 2, {len(found)} frames, --max_chunk {stretch}",
            result=f"`.len` equal bytes; `.npy` largest difference {largest:.1e}",
        )
        assert largest < HUBERT_TOLERANCE
        assert float(expected.std()) > 0.5, "features without variance would equal anything"


def test_the_array_is_the_bytes_of_np_save(speech: Speech, tmp_path: Path) -> None:
    """A shard written block by block is the file that numpy writes of the whole."""
    assert main(["exchange", "features", str(speech.manifest), "valid", str(tmp_path)]) == 0
    np.save(tmp_path / "again.npy", np.load(tmp_path / "valid_0_1.npy"))
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "valid_0_1.npy").read_bytes()


def test_kmeans_go_to_fairseq_and_back(speech: Speech, tmp_path: Path, record_property: Record) -> None:
    """Stock `learn_kmeans` fits our shards; its model as a codebook and as km.bin again labels as the original does."""
    shards, learned = tmp_path / "shards", tmp_path / "learned.bin"
    for rank in range(SHARDS):
        shard = ["--nshard", str(SHARDS), "--rank", str(rank)]
        assert main(["exchange", "features", str(speech.manifest), "train", str(shards), *shard]) == 0
    run(script(*KMEANS, "learn_kmeans.py"), shards, "train", SHARDS, learned, CLUSTERS, "--percent", "0.9")
    codebook, again = tmp_path / "codebook.safetensors", tmp_path / "again.bin"
    assert main(["exchange", "kmeans", str(learned), str(codebook)]) == 2  # its author is not trusted yet
    assert main(["exchange", "kmeans", str(learned), str(codebook), "--allow-pickle"]) == 0
    assert main(["exchange", "kmeans", str(codebook), str(again)]) == 0
    stock, exported = joblib.load(learned), joblib.load(again)
    np.testing.assert_array_equal(exported.cluster_centers_, stock.cluster_centers_)
    frames = np.concatenate([np.load(shards / f"train_{rank}_{SHARDS}.npy") for rank in range(SHARDS)])
    np.testing.assert_array_equal(exported.predict(frames), stock.predict(frames))
    np.testing.assert_array_equal(exported.predict(frames), Codebook.load(codebook).assign(frames, switch_penalty=0))
    for rank in range(SHARDS):
        for model, name in ((learned, "learned"), (again, "again")):
            run(script(*KMEANS, "dump_km_label.py"), shards, "train", model, SHARDS, rank, tmp_path / name)
        file = f"train_{rank}_{SHARDS}.km"
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "learned" / file).read_bytes()
    compared(
        record_property,
        tool="`learn_kmeans.py --percent 0.9`, then `dump_km_label.py`",
        source=f"{SHARDS} shards of ours, {len(frames)} frames, K = {CLUSTERS}; km.bin -> codebook -> km.bin",
        result="equal centroids; equal labels of `predict`, of the codebook and, in bytes, of `.km`",
    )


def test_merged_labels_are_the_bytes_of_the_readme(tmp_path: Path, record_property: Record) -> None:
    """`.km` and dictionary are what the shell lines of simple_kmeans/README.md make of the same shards."""
    shards, theirs, ours = tmp_path / "shards", tmp_path / "theirs", tmp_path / "ours"
    for folder in (shards, theirs):
        folder.mkdir()
    draw = np.random.default_rng(0)
    for rank in range(11):  # two digits: 10 comes after 9, not after 1
        lines = [" ".join(map(str, draw.integers(CLUSTERS, size=9).tolist())) for _ in range(3)]
        (shards / f"train_{rank}_11.km").write_text("\n".join(lines) + "\n")
    arguments = [str(shards), "train", str(ours), "--nshard", "11", "--clusters", str(CLUSTERS)]
    assert main(["exchange", "labels", *arguments]) == 0
    readme = (
        f"for rank in $(seq 0 10); do cat {shards}/train_${{rank}}_11.km; done > {theirs}/train.km; "
        f'for x in $(seq 0 {CLUSTERS - 1}); do echo "$x 1"; done >> {theirs}/dict.km.txt'
    )
    subprocess.run(["bash", "-c", readme], check=True)
    for name in ("train.km", "dict.km.txt"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    compared(
        record_property,
        tool="shell lines of simple_kmeans/README.md",
        source=f"11 shards of 3 lines, K = {CLUSTERS}",
        result="equal bytes: train.km, dict.km.txt",
    )


def test_unit_lines_are_the_bytes_of_the_gslm_quantiser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """`utt|u u u` lines equal those of quantize_with_kmeans.py on the same features and model; fairseq reads them."""
    clip = noise(4_960, seed=1)  # 29 frames
    features = np.stack([mfcc(clip), mfcc(clip[::-1].copy())])
    utts = ["one", "two"]
    codebook = Codebook(centroids=features[0, ::2].copy(), feature="mfcc", layer=None, checkpoint="")
    codebook.save(tmp_path / "codebook.safetensors")
    assert main(["exchange", "kmeans", str(tmp_path / "codebook.safetensors"), str(tmp_path / "km.bin")]) == 0
    np.save(tmp_path / "features.npy", features)
    (tmp_path / "train.tsv").write_text("/nowhere\n" + "".join(f"{utt}.flac\t4960\n" for utt in utts))
    _without_readers(monkeypatch)
    options = {
        "--feature_type": "hubert",
        "--features_path": tmp_path / "features.npy",
        "--kmeans_model_path": tmp_path / "km.bin",
        "--manifest_path": tmp_path / "train.tsv",
        "--out_quantized_file_path": tmp_path / "theirs.unit",
    }
    path = script("textless_nlp", "gslm", "speech2unit", "clustering", "quantize_with_kmeans.py")
    run(path, *(word for pair in options.items() for word in pair))

    source = UnitSource(codebook="c", checkpoint="", clusters=codebook.clusters)
    units = {utt: codebook.assign(frames, switch_penalty=0) for utt, frames in zip(utts, features, strict=True)}
    write_units(tmp_path / "en.tsv", source, units)
    assert main(["exchange", "units", str(tmp_path / "en.tsv"), str(tmp_path / "ours.unit")]) == 0
    assert (tmp_path / "ours.unit").read_bytes() == (tmp_path / "theirs.unit").read_bytes()

    load_units, process_units = _functions(
        script("speech_to_speech", "preprocessing", "data_utils.py"), "load_units", "process_units"
    )
    assert load_units(tmp_path / "ours.unit") == {utt: [str(unit) for unit in units[utt]] for utt in utts}
    assert main(["exchange", "units", str(tmp_path / "en.tsv"), str(tmp_path / "few.unit"), "--distinct"]) == 0
    distinct = {utt: process_units(found, reduce=True) for utt, found in load_units(tmp_path / "ours.unit").items()}
    assert load_units(tmp_path / "few.unit") == distinct
    compared(
        record_property,
        tool="`quantize_with_kmeans.py` (GSLM)",
        source=f"{features.shape[0]} x {features.shape[1]} frames of MFCC, K = {codebook.clusters}",
        result="equal bytes; `load_units` and `process_units` of speech_to_speech read both forms",
    )

    bare, names = tmp_path / "bare.unit", tmp_path / "bare.list"
    assert main(["exchange", "units", str(tmp_path / "en.tsv"), str(bare), "--list", str(names)]) == 0
    (load_code,) = _functions(script("speech_to_speech", "generate_waveform_from_code.py"), "load_code")
    assert load_code(bare) == [units[utt].tolist() for utt in utts]
    assert names.read_text().split() == utts
    compared(
        record_property,
        tool="`generate_waveform_from_code.py --in-code-file`",
        source="the same units as bare lines with a file list",
        result="its `load_code` reads equal units",
    )


def test_parallel_text_goes_through_fairseq_preprocess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Stock `fairseq-preprocess --joined-dictionary --dataset-impl mmap` takes our text; its data read back to it."""
    draw = np.random.default_rng(2)
    source = UnitSource(codebook="c", checkpoint="", clusters=CLUSTERS)
    for lang in ("en", "ko"):
        rows = {f"{lang}{number}": draw.integers(CLUSTERS, size=12).astype(np.int32) for number in range(40)}
        write_units(tmp_path / "units" / f"{lang}.tsv", source, rows)
    both = [(f"en{number}", f"ko{number}") for number in range(40)]
    both += [(target, origin) for origin, target in both]
    (tmp_path / "pairs").write_text("".join(f"{origin}\t{target}\n" for origin, target in both))
    text, stock = tmp_path / "text", tmp_path / "stock"
    arguments = [str(tmp_path / "pairs"), str(tmp_path / "units"), str(text), "--valid-percent", "0.1", "--seed", "1"]
    assert main(["exchange", "parallel", *arguments]) == 0
    options = ["--source-lang", "src", "--target-lang", "tgt", "--joined-dictionary", "--dataset-impl", "mmap"]
    prefixes = [word for split in ("train", "valid") for word in (f"--{split}pref", str(text / split))]
    _preprocess(monkeypatch, *options, *prefixes, "--destdir", str(stock))
    data = importlib.import_module("fairseq.data")
    dictionary = data.Dictionary.load(str(stock / "dict.src.txt"))
    lines = 0
    for split in ("train", "valid"):
        for side in ("src", "tgt"):
            dataset = data.data_utils.load_indexed_dataset(str(stock / f"{split}.src-tgt.{side}"), dictionary)
            written = (text / f"{split}.{side}").read_text().splitlines()
            assert [dictionary.string(row) for row in dataset] == written
            lines += len(written)
    assert (stock / "dict.src.txt").read_bytes() == (stock / "dict.tgt.txt").read_bytes()
    assert lines == 2 * len(both)
    compared(
        record_property,
        tool="`fairseq-preprocess --joined-dictionary --dataset-impl mmap`",
        source=f"{len(both)} pairs of `exchange parallel --valid-percent 0.1 --seed 1`",
        result="no unknown token; its data read back to equal lines",
    )


def _preprocess(patch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run `fairseq-preprocess`, and close the log file that it leaves open."""
    before = logging.getLogger().handlers[:]
    preprocess = importlib.import_module("fairseq_cli.preprocess")
    logging.getLogger().handlers[:] = before
    patch.setattr(sys, "argv", ["fairseq-preprocess", *arguments])
    preprocess.cli_main()
    for handler in preprocess.logger.handlers[:]:
        preprocess.logger.removeHandler(handler)
        handler.close()


def _without_readers(patch: pytest.MonkeyPatch) -> None:
    """`examples` is fairseq's folder; its feature readers, which want more packages, are not there."""
    patch.syspath_prepend(str(script().parent))
    for name in [name for name in sys.modules if name.partition(".")[0] == "examples"]:
        patch.delitem(sys.modules, name)
    name = "examples.textless_nlp.gslm.speech2unit.pretrained.utils"
    module = ModuleType(name)
    module.get_features = None  # type: ignore[attr-defined]
    patch.setitem(sys.modules, name, module)


def _functions(path: Path, *names: str) -> list[Callable[..., Any]]:
    """Functions of a script, without the rest of its file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    found: dict[str, Any] = {}
    exec(compile(ast.Module(body, []), str(path), "exec"), found)
    return [found[name] for name in names]


def test_vocoder_metadata_are_the_bytes_of_build_hifigan_manifest(
    speech: Speech, tmp_path: Path, capsys: pytest.CaptureFixture[str], record_property: Record
) -> None:
    """The same lines for the same recordings and units; fairseq's CodeDataset reads them."""
    manifest = read_manifest(speech.manifest, "train")
    draw = np.random.default_rng(1)
    units = {
        utt: np.sort(draw.integers(CLUSTERS, size=count // UNIT_HOP)).astype(np.int32)
        for utt, count in zip(manifest.utts, manifest.samples, strict=True)
    }
    write_units(tmp_path / "all.tsv", UnitSource(codebook="c", checkpoint="", clusters=CLUSTERS), units)
    audio, ours = tmp_path / "audio", tmp_path / "ours.txt"
    arguments = [str(speech.manifest), "train", str(tmp_path / "all.tsv"), str(ours), "--key", "hubert_km100"]
    assert main(["exchange", "vocoder-metadata", *arguments]) == 2  # packs, and no folder for their clips
    assert main(["exchange", "vocoder-metadata", *arguments, "--audio", str(audio)]) == 0
    rows = [f"{utt}.flac\t{count}" for utt, count in zip(manifest.utts, manifest.samples, strict=True)]
    (tmp_path / "train.tsv").write_text("\n".join([str(audio), *rows]) + "\n")
    lines = [" ".join(map(str, units[utt])) for utt in manifest.utts]
    (tmp_path / "train.km").write_text("\n".join(lines) + "\n")
    capsys.readouterr()
    with torchaudio_source.shim():
        path = script("emotion_conversion", "preprocess", "build_hifigan_manifest.py")
        run(path, "--tsv", tmp_path / "train.tsv", "--km", tmp_path / "train.km", "--km_type", "hubert_km100")
    assert ours.read_text() == capsys.readouterr().out
    assert json.loads(ours.read_text().splitlines()[0])["duration"] == manifest.samples[0] / 16_000

    importlib.import_module("tongyeok_fairseq")
    codedataset = importlib.import_module("fairseq.data.codedataset")
    dictionary = importlib.import_module("fairseq.tasks.speech_ulm_task").UnitDictionary(n_units=CLUSTERS)
    files, codes, _, _ = codedataset.parse_manifest(ours, dictionary)
    assert files == [str(audio / f"{utt}.flac") for utt in manifest.utts]
    assert [len(code) for code in codes] == [len(run_lengths(units[utt])[0]) + 1 for utt in manifest.utts]
    compared(
        record_property,
        tool="`build_hifigan_manifest.py` on soundfile for torchaudio",
        source=f"{len(files)} clips of a pack and their units",
        result="equal bytes; fairseq's `CodeDataset` reads them",
    )
