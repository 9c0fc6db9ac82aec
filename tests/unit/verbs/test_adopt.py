"""The verb `adopt`."""

import json
import shutil
from pathlib import Path

import pytest

from tongyeok.__main__ import main
from tongyeok.verbs import params

CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of the project's own."""
    return shutil.copytree(CONF, tmp_path / "conf")


def words(conf: Path, values: object, *more: str) -> list[str]:
    """The command that adopts a JSON of these values under the name `guide`."""
    source = conf.parent / "guide.json"
    source.write_text(json.dumps(values))
    return ["adopt", "vocoder", str(source), "--name", "guide", "--conf", str(conf), *more]


def test_a_json_becomes_a_choice(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the JSON says composes under its name, the rest is the paper's or that of the choice named."""
    assert main(words(conf, {"upsample_initial_channel": 128, "batch_size": 7})) == 0
    assert "choose it with `tongyeok params vocoder=guide`" in capsys.readouterr().out
    composed = params.compose(conf, "demo", ["vocoder=guide"])
    params.validate(composed)
    paper = params.compose(conf, "paper")["vocoder"]
    generator = {**paper["generator"], "initial_channels": 128}
    assert composed["vocoder"] == {**paper, "batch_segments": 7, "generator": generator}
    (conf / "vocoder" / "guide.yaml").unlink()
    assert main(words(conf, {}, "--rest", "hifigan")) == 0
    adopted, small = (params.compose(conf, "demo", [f"vocoder={name}"])["vocoder"] for name in ("guide", "hifigan"))
    assert adopted == small


def test_mistakes_are_told_and_write_nothing(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hop that cannot work, an unknown choice for the rest and a name that is taken give one message and status 2."""
    target = conf / "vocoder" / "guide.yaml"
    assert main(words(conf, {"hop_length": 256})) == 2
    assert "guide.json: hop_length: expected 320, the samples of one unit" in capsys.readouterr().err
    assert main(words(conf, {}, "--rest", "papr")) == 2
    assert "papr.yaml: no such choice to take the rest from;" in capsys.readouterr().err
    assert not target.exists()
    target.write_text("mine")
    assert main(words(conf, {})) == 2
    assert "guide.yaml: exists already; remove it or take another --name" in capsys.readouterr().err
    assert target.read_text() == "mine"
