"""Print how long each stage of the last rebuild took, and its peak memory."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tongyeok.errors import TongyeokError
from tongyeok.runner import read_timings
from tongyeok.workplace import WORKPLACE

INSTALLATION = "installation-seconds"  # written by the Makefile


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--all", action="store_true", help="the latest run of every stage, of whichever rebuild")
    parser.add_argument("--workplace", type=Path, default=WORKPLACE, metavar="FOLDER", help="where the journal is")


def main(args: argparse.Namespace) -> int:
    """Print the table.

    Raises:
        TongyeokError: no stage ran yet.
    """
    rows = read_timings(args.workplace / "timings.jsonl")
    if not rows:
        raise TongyeokError(f"{args.workplace / 'timings.jsonl'}: no stage ran yet; run `dvc repro`")
    noted = args.workplace / INSTALLATION
    installation = float(noted.read_text(encoding="utf-8")) if noted.is_file() else None
    print(table(rows if args.all else last_rebuild(rows), installation=installation))
    return 0


def last_rebuild(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of the newest `dvc repro`, or all rows if stages only ran by hand."""
    rebuilds = [row["rebuild"] for row in rows if row["rebuild"] is not None]
    return [row for row in rows if row["rebuild"] == rebuilds[-1]] if rebuilds else list(rows)


def table(rows: Sequence[Mapping[str, Any]], *, installation: float | None) -> str:
    """A text table in the order they ran; of a stage that ran twice, the later run.

    Args:
        rows: rows of the timings journal.
        installation: seconds that the installation took, where known.
    """
    latest = {row["stage"]: row for row in rows}
    stages = sorted(latest.values(), key=lambda row: float(row["started"]))
    lines = [f"{'stage':<20} {'minutes':>8} {'peak MiB':>9}"]
    if installation is not None:
        lines.append(f"{'(installation)':<20} {installation / 60:>8.2f} {'':>9}")
    lines += [f"{row['stage']:<20} {row['seconds'] / 60:>8.2f} {row['peak_mib']:>9}" for row in stages]
    total = sum(row["seconds"] for row in stages) + (installation or 0.0)
    lines.append(f"{'total':<20} {total / 60:>8.2f} {max(row['peak_mib'] for row in stages):>9}")
    return "\n".join(lines)
