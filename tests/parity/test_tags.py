"""UTUT's tags against fairseq's own mBART-style tasks: dictionary, batches, monolingual sentences and beam search."""

import logging
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from tongyeok.engine.translation import UnitTranslator
from tongyeok.unit2unit import pretraining
from tongyeok.unit2unit.tags import UTUT, units_of
from tongyeok.unit2unit.translator import read_pairs
from tongyeok_fairseq.translation_task import UnitTranslationConfig, UnitTranslationTask
from unit.unit2unit import toy_training, toy_units
from unit.unit2unit.toy_units import CLUSTERS, LANGUAGES

GROUPS = {"train": 60, "valid": 3, "test": 30}
UPDATES = 300
PADS = {"left_pad_source": True, "left_pad_target": False}


@pytest.fixture(scope="module")
def bitext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bitext of the toy corpus in one direction, with UTUT's tags."""
    return toy_units.build_bitext(tmp_path_factory.mktemp("toy"), tags="utut", directions=("ko-en",), groups=GROUPS)


@pytest.fixture(scope="module")
def bare(bitext: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same units without marks, binarised as `<split>.ko-en.<side>` and as `<side>/<split>`."""
    from fairseq.binarizer import FileBinarizer, VocabularyDatasetBinarizer

    folder = tmp_path_factory.mktemp("bare")
    for name in ("dict.txt", "dict.ko.txt", "dict.en.txt"):
        (folder / name).write_text("".join(f"{unit} 1\n" for unit in range(CLUSTERS)))
    for split in ("valid", "test"):
        for side, lines in zip(("ko", "en"), read_pairs(bitext, split), strict=True):
            text = folder / f"{split}.{side}.txt"
            text.write_text("".join(" ".join(map(str, units_of(line))) + "\n" for line in lines))
            (folder / side).mkdir(exist_ok=True)
            for prefix in (folder / f"{split}.ko-en.{side}", folder / side / split):
                binarizer = VocabularyDatasetBinarizer(_units(folder), append_eos=True)
                FileBinarizer.multiprocess_dataset(str(text), "mmap", binarizer, str(prefix), vocab_size=CLUSTERS + 4)
    return folder


def _units(folder: Path) -> Any:
    from fairseq.data import Dictionary

    return Dictionary.load(str(folder / "dict.txt"))


def _ours(bin_folder: Path) -> UnitTranslationTask:
    cfg = UnitTranslationConfig(
        data=str(bin_folder),
        source_lang="src",
        target_lang="tgt",
        dataset_impl=None,
        train_subset="train",
        required_seq_len_multiple=1,
        **PADS,
    )
    return UnitTranslationTask.setup_task(cfg)


def _stock(bare: Path) -> Any:
    """fairseq's `translation_from_pretrained_bart`.

    Declared shim: in fairseq 0.12 the task reads `self.args`, which its new base class no longer sets.
    """
    from fairseq.tasks.translation_from_pretrained_bart import TranslationFromPretrainedBARTTask

    args = Namespace(data=str(bare), source_lang="ko", target_lang="en", langs=",".join(LANGUAGES), prepend_bos=True)
    options = {"dataset_impl": None, "upsample_primary": 1, "load_alignments": False, "eval_bleu": False, **PADS}
    vars(args).update(options)
    task = TranslationFromPretrainedBARTTask(args, _units(bare), _units(bare))
    task.args = args
    return task


def test_dictionary_and_batches_are_stock(bitext: Path, bare: Path) -> None:
    """Symbols and all tensors of a batch equal those of `translation_from_pretrained_bart --prepend-bos`."""
    ours, stock = _ours(bitext / "bin"), _stock(bare)
    assert ours.src_dict.symbols == stock.src_dict.symbols == ours.tgt_dict.symbols
    assert ours.src_dict.symbols[4:] == UTUT.symbols(CLUSTERS, LANGUAGES)
    batches = []
    for task in (ours, stock):
        task.load_dataset("test")
        dataset = task.datasets["test"]
        batches.append(dataset.collater([dataset[row] for row in range(len(dataset))]))
    for part in ("src_tokens", "src_lengths", "prev_output_tokens"):
        assert torch.equal(batches[0]["net_input"][part], batches[1]["net_input"][part]), part
    assert torch.equal(batches[0]["target"], batches[1]["target"])
    assert torch.equal(batches[0]["id"], batches[1]["id"])
    assert batches[0]["ntokens"] == batches[1]["ntokens"]


def test_stock_fairseq_reads_the_binarised_files(bitext: Path) -> None:
    """The unmodified `translation` task loads `bin/` and sees whole sentences with their marks."""
    from fairseq.tasks.translation import TranslationConfig, TranslationTask

    cfg = TranslationConfig(
        data=str(bitext / "bin"),
        source_lang="src",
        target_lang="tgt",
        dataset_impl=None,
        train_subset="train",
        required_seq_len_multiple=1,
    )
    task = TranslationTask.setup_task(cfg)
    task.load_dataset("test")
    sources, targets = read_pairs(bitext, "test")
    for row, lines in enumerate(zip(sources, targets, strict=True)):
        for side, line in zip(("source", "target"), lines, strict=True):
            assert " ".join(task.src_dict[index] for index in task.datasets["test"][row][side]) == line


def test_monolingual_sentences_are_multilingual_denoisings(
    bitext: Path, bare: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pre-training restores the token sequences that `multilingual_denoising --add-lang-token` restores.

    Declared shim: fairseq asks numpy for `np.compat.long`, which numpy 2 no longer has.
    """
    from fairseq.tasks.multilingual_denoising import MultilingualDenoisingConfig, MultilingualDenoisingTask

    monkeypatch.setattr(np, "compat", SimpleNamespace(long=int), raising=False)
    caplog.set_level(logging.WARNING, logger="fairseq")
    cfg = MultilingualDenoisingConfig(
        data=str(bare),
        langs="ko,en",
        add_lang_token=True,
        sample_break_mode="eos",
        tokens_per_sample=512,
        rotate=0.0,
        permute_sentences=0,
        seed=1,
        dataset_impl=None,
        train_subset="train",
        valid_subset="valid",
    )
    dictionary = _units(bare)
    for language in LANGUAGES:
        dictionary.add_symbol(f"[{language}]")
    stock = MultilingualDenoisingTask(cfg, dictionary)
    cfg.shuffle_instance = False
    stock.load_dataset("valid")
    ours = _ours(pretraining.binarise_sentences(bitext, tmp_path / "sentences", workers=1))
    ours.load_dataset("valid")
    assert ours.src_dict.symbols == stock.source_dictionary.symbols
    valid = [ours.datasets["valid"][row] for row in range(len(ours.datasets["valid"]))]
    found = [{side: pair[side].tolist() for side in ("source", "target")} for pair in valid]
    wanted = [
        {side: stock.datasets[f"valid_{language}"][row][side].tolist() for side in ("source", "target")}
        for row in range(GROUPS["valid"])
        for language in ("ko", "en")
    ]
    assert found == wanted


def test_stock_fairseq_generate_gives_our_hypotheses(
    bitext: Path, bare: Path, tmp_path: Path, record_property: Record
) -> None:
    """`fairseq-generate`, with its own mBART-style task, loads the checkpoint and finds the same units as we do.

    Our own door forces `<s>`, suppresses other tags and `<mask>`, and lets the tag stand only behind `</s>`, none of
    which changes what a trained model finds. The shim is that of `_stock`.
    """
    cfg = toy_training.config(validate_every=UPDATES, updates=UPDATES, tokens_per_batch=600)
    toy_training.run(bitext, tmp_path, cfg)
    checkpoint, dictionary = tmp_path / "out" / "checkpoint.pt", tmp_path / "out" / "dict.txt"
    program = (
        "from fairseq.tasks.translation_from_pretrained_bart import TranslationFromPretrainedBARTTask as Task\n"
        "from fairseq_cli.generate import cli_main\n"
        "Task.args = property(lambda self: self.cfg)\n"
        "cli_main()"
    )
    options = (
        f"{bare} --path {checkpoint} --task translation_from_pretrained_bart --source-lang ko --target-lang en "
        f"--langs {','.join(LANGUAGES)} --prepend-bos --gen-subset test --beam 3 --max-len-a 2 --max-len-b 50 "
        "--batch-size 5 --required-batch-size-multiple 1 --cpu"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program, *options.split()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.startswith("H-")]
    stock = {int(number[2:]): words for number, _, words in lines}

    sources, _ = read_pairs(bitext, "test")
    found = UnitTranslator(checkpoint, dictionary, device="cpu").translate(sources, tag="[en]", beam=3)
    ours = {row: " ".join(map(str, units)) for row, units in enumerate(found)}
    different = [row for row in ours if ours[row] != stock[row]]
    compared(
        record_property,
        tool="`fairseq-generate --task translation_from_pretrained_bart`",
        source=f"translation of a toy bitext, UTUT's tags, beam 3, {len(ours)} sentences",
        result=f"hypotheses that differ: {len(different)}",
    )
    assert ours == stock
