"""Mend MLflow's database after the project folder was moved or copied: artifact locations are stored absolute."""

import argparse
import sqlite3
from contextlib import closing
from pathlib import Path

from tongyeok.errors import TongyeokError

COLUMNS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))
ROOT = "mlruns/artifacts"  # every experiment's artifacts lie below it


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--project", type=Path, default=Path(), metavar="FOLDER", help="project root (default: here)")


def main(args: argparse.Namespace) -> int:
    """Point every artifact location below `mlruns/artifacts` to where the project is now."""
    changed = relocate(args.project.resolve())
    print(f"{changed} locations now point into {args.project.resolve() / ROOT}")
    return 0


def relocate(project: Path) -> int:
    """Rewrite what stands before `mlruns/artifacts/` in every stored location, in one transaction.

    Args:
        project: absolute project root.

    Returns:
        How many locations changed.

    Raises:
        TongyeokError: the project has no MLflow database yet.
    """
    database = project / "mlruns" / "mlflow.db"
    if not database.is_file():
        raise TongyeokError(f"{database}: no such database; it appears with the first tracked stage of `dvc repro`")
    changed = 0
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in COLUMNS:
            rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()  # noqa: S608  constants
            for row, location in rows:
                moved = _moved(location, project)
                if moved != location:
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (moved, row))  # noqa: S608
                    changed += 1
    return changed


def _moved(location: str | None, project: Path) -> str | None:
    before, found, below = (location or "").rpartition(f"/{ROOT}/")
    if not found or not before.startswith(("/", "file:///")):
        return location
    prefix = "file://" if before.startswith("file:") else ""
    return f"{prefix}{project}/{ROOT}/{below}"
