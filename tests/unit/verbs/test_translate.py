"""The verb `translate`."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from tongyeok.__main__ import main
from tongyeok.base.files import sha256
from tongyeok.base.units import UnitSource
from tongyeok.evaluation import chain
from tongyeok.speech2unit.codebook import FILE, Codebook
from unit.evaluation import world

PARAMS = {
    "units": {"switch_penalty": 0.0},
    "translate_test": {
        "directions": "all",
        "beam": 1,
        "length_penalty": 1.0,
        "longest_per_token": 2.0,
        "longest_extra": 5,
        "batch_tokens": 100,
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with a recording and the outputs of every stage that translates."""
    world.build(tmp_path / "outputs")
    kmeans = tmp_path / "outputs" / "kmeans"
    for iteration in ("0", "1"):
        centroids = np.random.default_rng(int(iteration)).standard_normal((6, 39)).astype(np.float32)
        Codebook(centroids=centroids, feature="mfcc", layer=None, checkpoint="").save(kmeans / iteration / FILE)
    source = UnitSource(codebook=sha256(kmeans / "1" / FILE), checkpoint="", clusters=6)
    world.vocoder(source).save(tmp_path / "outputs" / "vocoder")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    soundfile.write(tmp_path / "in.wav", 0.3 * np.sin(np.arange(44100) / 20), 44100)
    monkeypatch.setattr(chain, "UnitTranslator", world.Parrot)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_recording_is_translated(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A 44.1 kHz recording becomes 16 kHz speech, and what was made is told in units and seconds."""
    assert main(["translate", "in.wav", "--from", "ko", "--to", "en", "--output", "out.wav"]) == 0
    samples, rate = soundfile.read(project / "out.wav")
    assert rate == 16000
    assert samples.ndim == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "in.wav (ko): 1.00 s, 50 units"
    assert lines[1].startswith(f"out.wav (en): {samples.size / 16000:.2f} s, ")
    assert lines[1].endswith(" distinct units")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "out.mp4"], "expected a name in .wav, .flac or .ogg"),
        (["--output", "out.wav", "--to", "fr"], "this translator knows ko, en, not 'fr'"),
        (["--output", "out.wav", "--kmeans", "outputs/kmeans/0"], "speaks units of"),
        (["--output", "out.wav", "--outputs", "elsewhere"], "expected folders 0, 1"),
        (["--output", "out.wav", "--params", "no.yaml"], "no.yaml: no such file"),
    ],
)
def test_mistakes(project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """A mistake gets one message, and nothing is written."""
    given = ["--to", "en", *arguments]
    assert main(["translate", "in.wav", "--from", "ko", *given]) == 2
    assert message in capsys.readouterr().err
    assert not list(project.glob("out.*"))
    assert not list(project.glob(".out*"))
