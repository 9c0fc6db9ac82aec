"""Mending artifact locations after a move."""

import argparse
import shutil
from pathlib import Path

import mlflow
import pytest

from tongyeok.errors import TongyeokError
from tongyeok.verbs import relocate


def test_artifacts_are_found_again_after_a_move(
    tmp_path: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A moved project's runs open their artifacts at the new place; what lies elsewhere is left alone."""
    old, new = tmp_path / "old place", tmp_path / "new"
    (old / "mlruns").mkdir(parents=True)
    shutil.copy(empty_database, old / "mlruns" / "mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{old}/mlruns/mlflow.db")
    here = client.create_experiment("hubert", artifact_location=f"{old}/mlruns/artifacts/hubert")
    client.create_experiment("elsewhere", artifact_location="s3://bucket/mlruns/artifacts/x")
    run = client.create_run(here).info.run_id
    client.log_text(run, "hello", "note.txt")
    old.rename(new)

    parser = argparse.ArgumentParser()
    relocate.configure(parser)
    arguments = parser.parse_args(["--project", str(new)])
    assert relocate.main(arguments) == 0
    assert relocate.main(arguments) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["2", "0"]
    client = mlflow.MlflowClient(f"sqlite:///{new}/mlruns/mlflow.db")
    assert Path(client.download_artifacts(run, "note.txt", str(tmp_path))).read_text() == "hello"
    elsewhere = client.get_experiment_by_name("elsewhere")
    assert elsewhere is not None
    assert elsewhere.artifact_location == "s3://bucket/mlruns/artifacts/x"


def test_says_when_there_is_no_database(tmp_path: Path) -> None:
    """A project that tracked nothing yet is told so."""
    with pytest.raises(TongyeokError, match="no such database; it appears with the first tracked stage"):
        relocate.relocate(tmp_path)
