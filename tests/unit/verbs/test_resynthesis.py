"""The verb `resynthesis` on the tiny world of the evaluation's tests; the recogniser hears what the test says."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import soundfile
import yaml

from tongyeok.__main__ import main
from tongyeok.base.manifests import read_manifest, subset, write_manifest
from tongyeok.base.units import UnitSource
from tongyeok.evaluation import asr
from tongyeok.evaluation.asr import AsrConfig, Load
from unit.evaluation import world

PARAMS = {
    "runtime": {"threads": 1},
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
        "resamples": 50,
        "samples_each": 1,
        "seed": 1,
    },
}


class Ear:
    """In place of whisper: hears the originals' texts; of resyntheses all but the last word."""

    identity = "ear of <a> & test"

    def __init__(self, cfg: AsrConfig, *, device: str, threads: int) -> None:
        assert (cfg.model, device, threads) == ("whisper-base", "cpu", 1)

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """A text per clip."""
        assert all(load().size == world.FRAMES * 320 for load in clips)
        texts = world.TEXTS[lang][: len(clips)]
        return [text.rpartition(" ")[0] for text in texts] if description.endswith("resynthesised") else list(texts)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder after `vocoder`."""
    world.build(tmp_path / "outputs")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    monkeypatch.setattr(asr, "Whisper", Ear)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Languages that the recogniser covers are scored: one word a sentence is lost in resynthesis, none before."""
    assert main(["resynthesis"]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = sum(len(text.split()) for text in world.TEXTS["en"])
    lost = f"{100 * 3 / words:.1f}"
    assert max(map(len, lines[:3])) <= 100
    assert lines[0] == "word error rate in percent, split test"
    assert lines[2].split()[:7] == ["en", "3", "0.0", "0.0", "to", "0.0", lost]
    assert lines[2].split()[10] == lost
    assert "heard by ear of <a> & test" in lines
    assert lines[-1] == "outputs/resynthesis/test/index.html"
    assert (project / lines[-1]).is_file()


def test_json_is_the_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json it prints what it wrote; the errors have intervals, and the figures are those of the table."""
    assert main(["resynthesis", "--json", "--languages", "en"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((project / "outputs/resynthesis/test/resynthesis.json").read_text())
    row = printed["languages"]["en"]
    assert (row["n"], row["groups"], row["wer_original"], row["cer_original"], row["heard_alike"]) == (3, 3, 0, 0, 0)
    low, high = row["wer_resynthesised_interval"]
    assert low <= row["wer_resynthesised"] <= high
    assert (row["wer_lost"], row["wer_lost_interval"]) == (row["wer_resynthesised"], [low, high])
    assert row["cer_resynthesised"] > 0
    assert -1 <= row["voice_similarity"] <= 1
    assert row["minutes"] == pytest.approx(3 * world.FRAMES * 320 / 16_000 / 60, abs=0.01)


def test_the_page_plays_both(project: Path) -> None:
    """The page has a player for the original and the resynthesis of each example, with what was heard, escaped."""
    assert main(["resynthesis", "--examples", "2", "--page", "page"]) == 0
    text = (project / "page" / "index.html").read_text(encoding="utf-8")
    samples = sorted(path.name for path in (project / "page" / "samples").iterdir())
    assert len(samples) == 4
    for name in samples:
        assert text.count(f'src="samples/{name}"') == 1
        assert soundfile.info(project / "page" / "samples" / name).samplerate == 16_000
    assert "ear of &lt;a&gt; &amp; test" in text
    assert len((project / "page" / "utterances.tsv").read_text(encoding="utf-8").splitlines()) == 4


def test_the_page_is_replaced_whole(project: Path) -> None:
    """What an earlier run left in the page's folder is gone, and nothing half-written stays beside it."""
    assert main(["resynthesis"]) == 0
    (project / "outputs/resynthesis/test/old.html").write_text("old")
    assert main(["resynthesis"]) == 0
    assert not (project / "outputs/resynthesis/test/old.html").exists()
    assert not list((project / "outputs/resynthesis").glob(".*"))


def test_a_folder_of_others_is_not_replaced(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A page is never written over a folder that this verb did not make."""
    (project / "mine").mkdir()
    (project / "mine" / "letter.txt").write_text("dear")
    assert main(["resynthesis", "--page", "mine"]) == 2
    assert "mine: expected a folder with resynthesis.json, or none, got other files" in capsys.readouterr().err
    assert (project / "mine" / "letter.txt").is_file()


def other_vocoder(project: Path) -> None:
    world.vocoder(UnitSource(codebook="d" * 64, checkpoint="", clusters=6)).save(project / "outputs/vocoder")


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(project: Path) -> None:
        path = project / "outputs" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "arguments", "told"),
    [
        (None, ["--examples", "0"], "--examples: expected at least 1, got 0"),
        (None, ["--languages", "ko"], "expected languages that the recogniser understands (en, fr), got ko"),
        (None, ["--languages", "en,fr"], "test.utt: expected utterances in fr, got none; it has en, ko"),
        (None, ["--params", "no.yaml"], "no.yaml: no such file"),
        (None, ["--manifest", "elsewhere"], "test.tsv: no such file; run the stage `manifest` first"),
        (other_vocoder, [], "this vocoder speaks units of"),
        (replace("manifest/test.utt", "g0_en", "g9_en"), [], "the corpus has no utterance 'g9_en'; rebuild `manifest`"),
        (replace("units/en.tsv", "g1_en", "g7_en"), [], "en.tsv: expected units of g1_en, got none; rebuild `units`"),
        (
            replace("corpus/utterances.tsv", "It rains in the evening.", "..."),
            [],
            "g2_en: expected a text to compare with what is heard, got '...'; add it to the corpus, or leave en out",
        ),
    ],
)
def test_mistakes(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None] | None,
    arguments: list[str],
    told: str,
) -> None:
    """A mistake gets one message, and no page is written."""
    if spoil is not None:
        spoil(project)
    assert main(["resynthesis", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not (project / "outputs/resynthesis").exists()


def test_settings_are_chosen_on_valid(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --split valid the validation utterances are scored, on a page of their own."""
    held_out = read_manifest(project / "outputs/manifest", "test")
    write_manifest(project / "outputs/manifest", "valid", subset(held_out, [1]))
    assert main(["resynthesis", "--split", "valid"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[2].split()[:2], lines[-1]) == (["en", "1"], "outputs/resynthesis/valid/index.html")
    assert not (project / "outputs/resynthesis/test").exists()


def test_no_language_is_covered(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recogniser that understands none of the test split's languages is told."""
    params = PARAMS | {"evaluate": {**PARAMS["evaluate"], "asr": {**PARAMS["evaluate"]["asr"], "languages": ["fr"]}}}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    assert main(["resynthesis"]) == 2
    assert "expected languages that the recogniser understands (fr), got en, ko" in capsys.readouterr().err
