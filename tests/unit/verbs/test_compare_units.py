"""The verb `compare_units` on a toy corpus; HuBERT's features need no model, the recogniser hears what it is told."""

import io
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tongyeok import runner
from tongyeok.__main__ import main
from tongyeok.base.manifests import read_manifest
from tongyeok.base.units import read_units
from tongyeok.base.utterances import read_utterances, write_utterances
from tongyeok.evaluation.asr import AsrConfig, Load
from tongyeok.speech2unit.codebook import FILE, Codebook
from unit.speech2unit import toy_speech

TEXT = "the red cat sleeps"
PARAMS: dict[str, Any] = {
    "flow": {"last": "1"},
    "runtime": {"threads": 1},
    "kmeans": {
        "1": {
            "source": "hubert/1",
            "layer": 2,
            "smoothing": 1,
            "clusters": 6,
            "share": 1.0,
            "frames": 1000,
            "init_frames": 100,
            "max_iterations": 5,
            "tolerance": 0.0001,
            "seed": 1,
        }
    },
    "units": {"switch_penalty": 0.5},
    "vocoder": {
        "generator": {
            "head": "fourier",
            "width": 16,
            "layers": 1,
            "expansion": 2,
            "kernel": 7,
            "fft_samples": 1280,
            "looks": 1,
            "duration_dropout": 0.5,
        },
        "segment_frames": 8,
        "batch_segments": 2,
        "updates": 1000,
        "learning_rate": 0.001,
        "warmup_updates": 0,
        "weight_decay": 0.0,
        "clip_norm": 1.0,
        "adversarial": None,
        "mel_weight": 1.0,
        "magnitude_weight": 0.5,
        "duration_updates": 1000,
        "duration_batch": 2,
        "duration_learning_rate": 0.001,
        "products": "float32",
        "validate_every": 5,
        "valid_utterances": 2,
        "sample_utterances": 1,
        "save_every": 5,
        "seed": 1,
    },
    "evaluate": {
        "asr": {
            "model": "whisper-base",
            "languages": ["en", "fr"],
            "recognizer": [],
            "compute_type": "int8",
            "beam": 1,
            "window_s": 10.0,
            "padding_s": 0.5,
            "max_tokens": 20,
        },
        "resamples": 20,
        "samples_each": 1,
        "seed": 1,
    },
}
CALL = ["compare_units", "--vocoder-updates", "2", "--mfcc-smoothing", "0,2"]


class Ear:
    """In place of whisper: misses one word of four in what the first vocoder says, two in what the second says."""

    identity = "a patient ear"
    heard: Sequence[str] = ("the red cat", "the red")

    def __init__(self, cfg: AsrConfig, *, device: str, threads: int) -> None:
        assert (cfg.model, device, threads) == ("whisper-base", "cpu", 1)

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """The text of an original, and so much of it of a resynthesis."""
        assert lang == "en"
        if description.endswith("original"):
            return [TEXT] * len(clips)
        said, *Ear.heard = Ear.heard
        return [said] * len(clips)


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A project folder after a comparison, and what it printed."""

    folder: Path
    printed: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A comparison of MFCC with one HuBERT; tests only read it."""
    folder = tmp_path_factory.mktemp("comparison")
    speech = toy_speech.build(folder / "outputs")
    write_utterances(speech.corpus, [replace(row, text=TEXT) for row in read_utterances(speech.corpus)])
    hubert(folder / "outputs/hubert/1", updates=30)
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (folder / ".tongyeok").mkdir()
    noted = {"stage": "hubert@1", "rebuild": None, "started": 1.0, "seconds": 90.0, "peak_mib": 1}
    runs = [noted, noted | {"seconds": 15.0, "outputs": "elsewhere"}, noted | {"outputs": "outputs/hubert/1"}]
    (folder / ".tongyeok/timings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in runs))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        stub(patch, folder)
        assert main([*CALL, "--hubert", "outputs/hubert/1"]) == 0
    return Made(folder=folder, printed=printed.getvalue())


def hubert(folder: Path, *, updates: int) -> None:
    """A folder as the stage `hubert` leaves it."""
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"weights %d" % updates)
    (folder / "curves.csv").write_text(f"step,train_loss\n10,3.5\n{updates},2.5\n")


def stub(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setattr("tongyeok.engine.features.FeatureReader", toy_speech.FakeReader)
    patch.setattr("tongyeok.evaluation.unit_study.Whisper", Ear)
    patch.setattr(Ear, "heard", Ear.heard)
    patch.chdir(folder)


@pytest.fixture
def project(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, for tests that go on with it."""
    folder = shutil.copytree(made.folder, tmp_path / "project")
    stub(monkeypatch, folder)
    return folder


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The output folders of the stages that run from now on."""
    folders: list[str] = []

    def execute(*stage: Any, outputs: Path, **how: Any) -> object:
        folders.append(str(outputs))
        return real(*stage, outputs=outputs, **how)

    real = runner.execute
    monkeypatch.setattr(runner, "execute", execute)
    return folders


def test_the_table(made: Made) -> None:
    """MFCC stands first, without minutes; HuBERT has its updates and minutes; one word of four more costs 25 points."""
    rows = [line.split(" | ") for line in made.printed.splitlines() if line.startswith(("| MFCC", "| HuBERT"))]
    (mfcc, trained) = rows
    assert mfcc[:3] == ["| MFCC", "-", "en"]
    assert trained[:3] == ["| HuBERT, 30 updates", "1.5", "en"]
    assert mfcc[-5:] == ["25.0", "25.0 to 25.0", "-", "-", mfcc[-1]]
    assert trained[-5:-1] == ["50.0", "50.0 to 50.0", "+25.0", "25.0 to 25.0"]
    assert "WER of the original recordings: en 0.0 %." in made.printed
    assert "Heard by a patient ear." in made.printed


def test_the_files(made: Made) -> None:
    """The table is what it printed, the JSON holds the same figures and no path, the plot is a picture."""
    folder = made.folder / "outputs/compare_units"
    assert (folder / "compare_units.md").read_text(encoding="utf-8") + "\n" == made.printed
    assert (folder / "compare_units.png").read_bytes().startswith(b"\x89PNG")
    text = (folder / "compare_units.json").read_text(encoding="utf-8")
    assert str(made.folder) not in text
    first, second = json.loads(text)["rows"]
    assert (first["contender"]["updates"], second["contender"]["updates"]) == (None, 30)
    assert second["less_mfcc"] == {"value": 25.0, "low": 25.0, "high": 25.0}
    assert f"{second['units']['pnmi']:.3f}" in made.printed


def test_contenders_differ_in_their_features_alone(made: Made) -> None:
    """Codebooks have the same K, MFCC's with one of the smoothings to try, HuBERT's with that of the parameters."""
    folder = made.folder / "outputs/compare_units"
    (mfcc,) = (path.parent for path in folder.glob("mfcc-*/vocoder"))
    (trained,) = (path.parent for path in folder.glob("hubert-*/vocoder"))
    books = [Codebook.load(path / "kmeans" / FILE) for path in (mfcc, trained)]
    assert [book.clusters for book in books] == [6, 6]
    assert [book.feature for book in books] == ["mfcc", "hubert"]
    assert mfcc.name == f"mfcc-smoothing-{books[0].smoothing}"
    assert (books[1].smoothing, books[1].layer) == (1, 2)
    assert trained.name == f"hubert-30-{books[1].checkpoint[:8]}"
    for path in (mfcc, trained):
        assert (path / "vocoder/curves.csv").read_text().splitlines()[-1].startswith("2,")
        assert len((path / "resynthesis/utterances.tsv").read_text().splitlines()) == 3


def test_the_best_smoothing_of_mfcc_competes(made: Made) -> None:
    """Of the smoothings tried, all with units, the one with the highest PNMI got a vocoder."""
    folder = made.folder / "outputs/compare_units"
    (line,) = (line for line in made.printed.splitlines() if "PNMI:" in line)
    pnmi = {passes: float(line.partition(f"{passes} times en ")[2][:5]) for passes in (0, 2)}
    assert pnmi[0] != pnmi[2]
    assert [(folder / f"mfcc-smoothing-{passes}/units/en.tsv").is_file() for passes in (0, 2)] == [True, True]
    assert [path.parent.name for path in folder.glob("mfcc-*/vocoder")] == [f"mfcc-smoothing-{max(pnmi, key=pnmi.get)}"]  # type: ignore[arg-type]


def test_test_stays_unseen_and_languages_apart(made: Made) -> None:
    """Neither test utterances nor languages that are not compared have units."""
    given = made.folder / "outputs/manifest"
    seen = {utt for split in ("train", "valid") for utt in read_manifest(given, split).utts if utt.endswith("_en")}
    for units in (made.folder / "outputs/compare_units").glob("*/units"):
        assert [path.name for path in units.glob("*.tsv")] == ["en.tsv"]
        assert set(read_units(units / "en.tsv")[1]) == seen


def test_what_is_made_is_not_made_again(made: Made, project: Path, ran: list[str]) -> None:
    """A second call runs no stage, hears nothing and prints the same."""
    before = {path: path.stat().st_mtime_ns for path in project.glob("outputs/compare_units/*/*")}
    assert main([*CALL, "--hubert", "outputs/hubert/1"]) == 0
    assert ran == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (project / "outputs/compare_units/compare_units.md").read_text(encoding="utf-8") + "\n" == made.printed


def test_a_contender_is_added(project: Path, ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Another HuBERT costs its own parts alone."""
    hubert(project / "more", updates=60)
    assert main([*CALL, "--hubert", "outputs/hubert/1", "more"]) == 0
    assert [Path(path).name for path in ran] == ["kmeans", "units", "vocoder"]
    assert len({Path(path).parent for path in ran}) == 1
    assert "| HuBERT, 60 updates | - | en |" in capsys.readouterr().out


def test_an_interruption_costs_one_part(
    project: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped while its vocoder trains, a contender keeps its codebook and units."""
    hubert(project / "more", updates=60)
    with monkeypatch.context() as patch:
        patch.setattr("tongyeok.unit2speech.vocoder.optimise", stop)
        assert main([*CALL, "--hubert", "more"]) == 130
    assert "interrupted; run it again to go on" in capsys.readouterr().err
    ran.clear()
    assert main([*CALL, "--hubert", "more"]) == 0
    assert [Path(path).name for path in ran] == ["vocoder"]


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def other_params(project: Path) -> None:
    changed = PARAMS | {"units": {"switch_penalty": 1.0}}
    (project / "params.yaml").write_text(yaml.safe_dump(changed))


def no_phones(project: Path) -> None:
    (project / "outputs/corpus/phones.tsv").unlink()


@pytest.mark.parametrize(
    ("spoil", "arguments", "told"),
    [
        (other_params, [], "outputs/compare_units: expected what the same settings made, got other units; remove"),
        (None, ["--vocoder-updates", "3"], "got other vocoder updates; remove the folder, or give another"),
        (None, ["--hubert", "outputs/corpus"], "--hubert outputs/corpus: expected checkpoint.pt and curves.csv"),
        (None, ["--languages", "ko"], "expected languages that the recogniser understands (en, fr), got ko"),
        (None, ["--params", "no.yaml"], "no.yaml: no such file"),
        (no_phones, [], "--mfcc-smoothing: expected one number, since outputs/corpus has no phones.tsv to choose by"),
    ],
)
def test_mistakes(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None] | None,
    arguments: list[str],
    told: str,
) -> None:
    """A mistake gets one message."""
    if spoil is not None:
        spoil(project)
    assert main([*CALL, *arguments]) == 2
    assert told in capsys.readouterr().err
