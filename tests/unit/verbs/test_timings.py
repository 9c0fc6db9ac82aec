"""The table of minutes and memory."""

import argparse
import json
from pathlib import Path

import pytest

from tongyeok.errors import TongyeokError
from tongyeok.verbs import timings


def row(stage: str, rebuild: str | None, *, started: float, seconds: float, peak_mib: int = 100) -> dict[str, object]:
    """One row of the journal."""
    return {"stage": stage, "rebuild": rebuild, "started": started, "seconds": seconds, "peak_mib": peak_mib}


ROWS = [
    row("corpus", "a", started=1, seconds=60),
    row("units", "a", started=2, seconds=60),
    row("vocoder", None, started=3, seconds=60),
    row("units", "b", started=4, seconds=90, peak_mib=300),
    row("vocoder", "b", started=5, seconds=30, peak_mib=200),
]


def run(workplace: Path, *words: str) -> int:
    """Call the verb on a workplace."""
    parser = argparse.ArgumentParser()
    timings.configure(parser)
    return timings.main(parser.parse_args([*words, "--workplace", str(workplace)]))


def test_shows_the_last_rebuild_with_its_total(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only stages of the newest `dvc repro` are listed; the total adds the installation, the peak is the largest."""
    (tmp_path / "timings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "installation-seconds").write_text("120\n")
    assert run(tmp_path) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["stage", "minutes", "peak", "MiB"],
        ["(installation)", "2.00"],
        ["units", "1.50", "300"],
        ["vocoder", "0.50", "200"],
        ["total", "4.00", "300"],
    ]


def test_shows_every_stage_at_its_latest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--all` each stage stands once, with its newest run, in the order they ran."""
    (tmp_path / "timings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert run(tmp_path, "--all") == 0
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [["corpus", "1.00"], ["units", "1.50"], ["vocoder", "0.50"], ["total", "3.00"]]


def test_says_what_to_do_when_nothing_ran(tmp_path: Path) -> None:
    """Without a journal the message tells how to get one."""
    with pytest.raises(TongyeokError, match="no stage ran yet; run `dvc repro`"):
        run(tmp_path)
