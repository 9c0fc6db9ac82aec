"""The binarised bitext against `fairseq-preprocess`."""

import logging
import shutil
import sys
from pathlib import Path

import pytest

from parity.record import Record, compared
from unit.unit2unit import toy_units


def test_binarised_data_are_fairseq_preprocess_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """`bin/` holds the files of `fairseq-preprocess --joined-dictionary --srcdict`, byte for byte, but for its log."""
    toy_units.run(toy_units.build(tmp_path), tmp_path / "out")
    text = tmp_path / "text"
    text.mkdir()
    for path in (tmp_path / "out").glob("*.*"):
        shutil.copy(path, text)
    before = logging.getLogger().handlers[:]
    from fairseq_cli import preprocess

    logging.getLogger().handlers[:] = before
    prefixes = [word for split in ("train", "valid", "test") for word in (f"--{split}pref", str(text / split))]
    options = [
        "--source-lang",
        "src",
        "--target-lang",
        "tgt",
        "--srcdict",
        str(text / "dict.txt"),
        "--joined-dictionary",
    ]
    monkeypatch.setattr(sys, "argv", ["fairseq-preprocess", *options, *prefixes, "--destdir", str(tmp_path / "stock")])
    preprocess.cli_main()
    for handler in preprocess.logger.handlers[:]:
        preprocess.logger.removeHandler(handler)
        handler.close()

    ours = {path.name: path.read_bytes() for path in sorted((tmp_path / "out" / "bin").iterdir())}
    stock = {path.name: path.read_bytes() for path in sorted((tmp_path / "stock").iterdir())}
    stock.pop("preprocess.log")
    assert list(ours) == list(stock)
    different = [name for name in ours if ours[name] != stock[name]]
    compared(
        record_property,
        tool="`fairseq-preprocess --joined-dictionary --srcdict`",
        source=f"`bin/` of a toy bitext, {len(ours)} files",
        result=f"files whose bytes differ: {len(different)}",
    )
    assert not different
