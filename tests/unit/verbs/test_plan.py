"""The dry run of a profile: every training of the flow, in figures that follow from its parameters."""

import json
from pathlib import Path

import pytest

from architecture.closure import ROOT
from tongyeok.__main__ import main
from tongyeok.config import read_params

CONF = ["--conf", str(ROOT / "conf")]


def figures(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, float]]:
    """What `plan --json` prints, by the name of the training."""
    assert main(["plan", "--json", *words]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["trainings"]}


def test_the_paper_profile_is_planned_at_true_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Three HuBERT base, 95 M each; 46.7 minutes of audio and 48,000 tokens an update, as the papers have them."""
    found = figures(capsys, *CONF)
    assert list(found) == ["hubert@1", "hubert@2", "hubert@3", "translator", "vocoder", "recognizer"]
    for number in (1, 2, 3):
        assert found[f"hubert@{number}"]["parameters"] == pytest.approx(95e6, rel=0.01)
        assert found[f"hubert@{number}"]["amount_per_update"] == pytest.approx(46.7 * 60, rel=0.01)
    assert found["hubert@2"]["parameters"] - found["hubert@1"]["parameters"] == (500 - 100) * 256
    assert found["translator"]["amount_per_update"] == 48_000
    for row in found.values():
        parts = ("weights_bytes", "gradients_bytes", "adam_bytes", "kept_bytes")
        assert [row[part] for part in parts[:3]] == [size * row["parameters"] for size in (4, 4, 8)]
        assert row["memory_bytes"] == sum(row[part] for part in parts)
        assert row["kept_bytes"] > row["amount_per_update"]


def test_a_pretraining_is_a_training_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the translator is pre-trained, the same model is planned twice, each time with its own updates."""
    names = list(figures(capsys, "--params", str(ROOT / "params.yaml")))
    names.insert(names.index("translator"), "pretraining")
    params = read_params(ROOT / "params.yaml")
    translator = params["translator"]
    translator["pretraining"] = {
        "learns": "translation",
        "masking": {"share": 0.3, "span_mean": 10.0},
        "optimisation": {**translator["optimisation"], "updates": 700},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    found = figures(capsys, "--params", str(tmp_path / "params.yaml"))
    assert list(found) == names
    assert found["pretraining"] == {
        **found["translator"],
        "name": "pretraining",
        "updates": 700,
        "hours": pytest.approx(found["translator"]["hours"] * 700 / found["translator"]["updates"]),
    }


def test_hours_follow_from_the_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Twice the rate or twice the utilisation halve the hours; float32 trainings follow the float32 rate."""
    toy = [*CONF, "--profile", "toy", "--gpu-float32-tflops", "10"]
    first = figures(capsys, *toy, "--gpu-tflops", "100", "--utilisation", "0.2")
    faster = figures(capsys, *toy, "--gpu-tflops", "200", "--utilisation", "0.2")
    fuller = figures(capsys, *toy, "--gpu-tflops", "100", "--utilisation", "0.4")
    assert {row["products"] for row in first.values()} == {"float32", "bfloat16"}
    for name, row in first.items():
        peak = 10 if row["products"] == "float32" else 100
        expected = row["updates"] * row["flops_per_update"] / (peak * 1e12 * 0.2) / 3600
        assert row["hours"] == pytest.approx(expected)
        assert fuller[name]["hours"] == pytest.approx(row["hours"] / 2)
        assert faster[name]["hours"] == pytest.approx(row["hours"] / (1 if row["products"] == "float32" else 2))


def test_the_table_names_gpu_and_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    """A params file gives a line for each training, and the lines below say what the figures rest on."""
    assert main(["plan", "--params", str(ROOT / "params.yaml"), "--gpu-tflops", "100"]) == 0
    head, *rows, blank, memory, hours = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["training", "parameters"]
    assert [row.split()[0] for row in rows] == ["hubert@1", "translator", "vocoder", "recognizer"]
    assert not blank
    assert memory.startswith("GiB: weights, gradients, Adam's averages")
    assert hours.startswith("hours: one GPU of 100 (float32: 19.5) TFLOP/s used to 30 % (assumed)")


def test_what_cannot_be_planned_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rate of nothing, a missing file and a missing section are named."""
    assert main(["plan", *CONF, "--gpu-tflops", "0"]) == 2
    assert "--gpu-tflops: expected more than 0, got 0.0" in capsys.readouterr().err
    assert main(["plan", "--params", str(tmp_path / "none.yaml")]) == 2
    assert "run `tongyeok params`" in capsys.readouterr().err
    (tmp_path / "few.yaml").write_text("kmeans: {}\n")
    assert main(["plan", "--params", str(tmp_path / "few.yaml")]) == 2
    assert "sections missing: hubert, bitext, translator, vocoder, recognizer" in capsys.readouterr().err
