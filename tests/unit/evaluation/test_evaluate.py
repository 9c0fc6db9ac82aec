"""The stage `evaluate` on a tiny world, with a recogniser that hears what the test says."""

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.audio import PackWriter, decode
from tongyeok.base.files import sha256
from tongyeok.base.stage import silent
from tongyeok.base.units import write_units
from tongyeok.base.utterances import read_utterances
from tongyeok.config import build
from tongyeok.errors import ConfigError, EvaluationError
from tongyeok.evaluation import evaluate
from tongyeok.evaluation.asr import AsrConfig, Load
from tongyeok.evaluation.corpus_asr import CorpusAsr
from tongyeok.evaluation.evaluate import EvaluateConfig, Inputs
from tongyeok.evaluation.published import GUESSED
from tongyeok.evaluation.speech import Speech, read_speech, write_speech
from unit.evaluation.world import SOURCE, TEXTS

ASR = {
    "model": "whisper-base",
    "languages": ["en"],
    "recognizer": [],
    "compute_type": "int8",
    "beam": 1,
    "window_s": 10.0,
    "padding_s": 0.5,
    "max_tokens": 20,
}
VALUES = {"asr": ASR, "resamples": 50, "samples_each": 1, "seed": 1}


class Ear:
    """In place of whisper: hears the reference texts; of translations that say something, all but the last word."""

    identity = "ear of <a> & test"

    def __init__(self, cfg: AsrConfig, *, device: str, threads: int) -> None:
        assert (cfg.model, device, threads) == ("whisper-base", "cpu", 1)

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """A text per clip."""
        texts = [text if load().size else "" for text, load in zip(TEXTS[lang], clips, strict=True)]
        return [text.rpartition(" ")[0] for text in texts] if description.endswith("translated") else texts


@pytest.fixture(autouse=True)
def _ear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "Whisper", Ear)


@pytest.fixture
def translated(tiny: Path) -> Path:
    """The world after `translate_test` in both directions; the last Korean sentence came out empty."""
    folder, rows = tiny / "translate_test", []
    noise = 0.1 * np.random.default_rng(1).standard_normal(6400).astype(np.float32)
    folder.mkdir()
    for source, target in (("ko", "en"), ("en", "ko")):
        with PackWriter(folder / f"{source}-{target}.zip") as pack:
            for number in range(3):
                utt, empty = f"g{number}_{source}", (source, number) == ("ko", 2)
                audio = "" if empty else pack.add(utt, noise)
                size = 0 if empty else noise.size
                rows.append(
                    Speech(kind="translated", direction=f"{source}-{target}", utt=utt, audio=audio, samples=size)
                )
        units = {f"g{n}_{source}": np.array([] if (source, n) == ("ko", 2) else [1, 2, 3], np.int32) for n in range(3)}
        write_units(folder / "units" / f"{source}-{target}.tsv", SOURCE, units)
    for lang in ("en", "ko"):
        with PackWriter(folder / f"resynthesised-{lang}.zip") as pack:
            for number in range(3):
                audio = pack.add(utt := f"g{number}_{lang}", noise)
                rows.append(Speech(kind="resynthesised", direction=lang, utt=utt, audio=audio, samples=noise.size))
    write_speech(folder, rows)
    return tiny


def run(world: Path, outputs: Path, **changes: object) -> dict[str, float]:
    """Run the stage on a world's folders."""
    outputs.mkdir()
    cfg = build(EvaluateConfig, {**VALUES, **changes}, where="test")
    there = [name for name in Inputs.__dataclass_fields__ if (world / name).is_dir()]
    inputs = Inputs(**{name: world / name for name in there})
    return evaluate.run(cfg, inputs=inputs, outputs=outputs, context=silent(outputs))


def test_scores_and_report(translated: Path, tmp_path: Path) -> None:
    """Covered directions are heard, others scored by units; everything promised is written."""
    metrics = run(translated, tmp_path / "out")
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["directions"]
    assert list(scores) == ["ko-en", "en-ko"]
    assert scores["ko-en"]["asr_bleu_reference"] == scores["ko-en"]["asr_bleu_resynthesised"] == 100
    assert 0 < scores["ko-en"]["asr_bleu"] < 100
    assert scores["ko-en"]["asr"] == Ear.identity
    assert scores["en-ko"]["asr_bleu"] is None
    assert scores["en-ko"]["n"] == 3
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert metrics["ko-en/ceiling"] == 100
    assert "en-ko/wer" not in metrics
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        *("asr_bleu.csv", "metrics.json", "plots", "report.html", "report.md", "samples", "scores.json"),
        "utterances.tsv",
    ]


class InDomain(CorpusAsr):
    """In place of the corpus's own recogniser: hears the reference texts, and in corrupted clips nothing."""

    identity = "recognizer sha256:0123"  # type: ignore[assignment]

    def __init__(self, folder: Path, *, languages: Sequence[str], device: str) -> None:
        assert (folder.name, languages, device) == ("recognizer", ["ko"], "cpu")
        self._groups = set((folder / "train.groups").read_text().splitlines())
        self._folder = folder

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """A text per clip."""
        return ["" if "a third" in description else text for text, _ in zip(TEXTS[lang], clips, strict=True)]


def test_a_language_is_heard_by_the_corpus_s_own_recogniser(
    translated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named beside its scores, whisper hears the rest, and the report says how wrong it can be."""
    monkeypatch.setattr(evaluate, "CorpusAsr", InDomain)
    (translated / "recognizer").mkdir()
    (translated / "recognizer" / "train.groups").write_text("elsewhere\n")
    run(translated, tmp_path / "out", asr={**ASR, "recognizer": ["ko"]})
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["directions"]
    assert [scores[name]["asr"] for name in ("ko-en", "en-ko")] == [Ear.identity, "recognizer sha256:0123"]
    assert scores["en-ko"]["asr_bleu"] == 100
    errors = json.loads((tmp_path / "out" / "recognizer_errors.json").read_text())
    assert list(errors) == ["en-ko"]
    assert [(row["speech"], row["cer"]) for row in errors["en-ko"]] == [
        ("reference", 0),
        ("reference, a third backwards", 100),
        ("reference, a third noise", 100),
        ("resynthesised", 0),
        ("translated", 0),
    ]
    assert "| reference, a third noise | 100.0 | 100.0 | 0.0 |" in (tmp_path / "out" / "report.md").read_text()
    assert "<td>reference, a third noise</td><td>100.0</td>" in (tmp_path / "out" / "report.html").read_text()


def test_a_recogniser_may_not_judge_what_it_learnt(
    translated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was trained on a test sentence, as before a new split, is refused by that sentence's name."""
    monkeypatch.setattr(evaluate, "CorpusAsr", InDomain)
    (translated / "recognizer").mkdir()
    group = next(row.group for row in read_utterances(translated / "corpus") if row.split == "test")
    (translated / "recognizer" / "train.groups").write_text(f"elsewhere\n{group}\n")
    with pytest.raises(EvaluationError, match=f"was trained on group '{group}', to which test utterance"):
        run(translated, tmp_path / "out", asr={**ASR, "recognizer": ["ko"]})


def test_a_recogniser_that_is_asked_for_must_be_given(translated: Path, tmp_path: Path) -> None:
    """Scores are never silently left out."""
    with pytest.raises(EvaluationError, match=r"evaluate\.asr\.recognizer: ko is to be heard by the stage"):
        run(translated, tmp_path / "out", asr={**ASR, "recognizer": ["ko"]})


def test_an_untrained_direction_is_called_zero_shot(translated: Path, tmp_path: Path) -> None:
    """A direction without a training pair is marked in scores and report, and no other is."""
    for side, lang in (("src", "ko"), ("tgt", "en")):
        (translated / "bitext" / f"train.{side}").write_text(f"<{lang}> 1 2\n")
    run(translated, tmp_path / "out")
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["directions"]
    assert "zero_shot" not in scores["ko-en"]
    assert scores["en-ko"]["zero_shot"] is True
    for name, heading in (("report.md", "## en-ko (zero-shot)\n"), ("report.html", "<h2>en-ko (zero-shot)</h2>")):
        page = (tmp_path / "out" / name).read_text()
        assert heading in page
        assert page.count("zero-shot: the translator was trained on no pair of this direction") == 1


def test_every_utterance_is_in_the_table(translated: Path, tmp_path: Path) -> None:
    """One row per trial; an empty translation is heard as nothing, with all words wrong and no voice."""
    run(translated, tmp_path / "out")
    header, *rows = [line.split("\t") for line in (tmp_path / "out" / "utterances.tsv").read_text().splitlines()]
    assert len(rows) == 6
    empty = dict(zip(header, rows[2], strict=True))
    assert (empty["source"], empty["translated_heard"], empty["wer"], empty["chrf"]) == ("g2_ko", "", "100.00", "0.00")
    assert (empty["cer"], dict(zip(header, rows[3], strict=True))["cer"]) == ("100.00", "")
    assert (empty["speaker_similarity"], empty["unit_similarity"]) == ("0.0000", "0.0000")
    unheard = dict(zip(header, rows[3], strict=True))
    assert (unheard["translated_heard"], unheard["wer"], unheard["text"]) == ("", "", TEXTS["ko"][0])


def test_samples_can_be_played(translated: Path, tmp_path: Path) -> None:
    """Each player and each link of the report points to a sample that is there, but for speech that is empty."""

    class Players(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.sources: list[str] = []
            self.outside: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name in {"src", "href"} and value is not None:
                    (self.sources if tag == "audio" else self.outside).append(value)

    run(translated, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    players = Players()
    players.feed(page)
    files = {f"samples/{path.name}" for path in (tmp_path / "out" / "samples").iterdir()}
    assert set(players.sources) == files
    assert len(files) == 2 * 3 * 4 - 1
    assert all(value.startswith("data:image/png;base64,") for value in players.outside)
    assert "ear of &lt;a&gt; &amp; test" in page
    samples, rate = decode((tmp_path / "out" / min(files)).read_bytes(), name="sample")
    assert (rate, samples.shape[1]) == (16000, 1)
    words = (tmp_path / "out" / "report.md").read_text()
    assert all(f"]({file})" in words for file in files)
    assert "| translated |" in words
    assert "no recogniser covers the target language" in words


def test_a_recogniser_that_does_not_understand(
    translated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the original speech is not understood, report, picture and scores say so beside the score; else not."""

    class Deaf(Ear):
        def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
            heard = super().transcribe(clips, lang=lang, description=description)
            return heard if lang == "en" else ["음"] * len(clips)

    monkeypatch.setattr(evaluate, "Whisper", Deaf)
    run(translated, tmp_path / "out", asr={**ASR, "languages": ["en", "ko"]})
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["directions"]
    assert {name: row["asr_understands"] for name, row in scores.items()} == {"ko-en": True, "en-ko": False}
    shares = {name for name in json.loads((tmp_path / "out" / "metrics.json").read_text()) if "of_resynth" in name}
    assert shares == {"ko-en/of_resynthesised"}
    for page in ("report.html", "report.md"):
        overview, english, korean = re.split("^## |<h2>", (tmp_path / "out" / page).read_text(), flags=re.MULTILINE)
        assert GUESSED in overview
        assert GUESSED not in english
        assert GUESSED in korean
        assert ("in percent of" in english, "in percent of" in korean) == (True, False)
        assert "BLEU of words (13a)" in korean
        assert "BLEU of words (13a)" not in english


def test_same_inputs_same_bytes(translated: Path, tmp_path: Path) -> None:
    """Two runs write the same files, byte for byte, pictures included."""
    for name in ("a", "b"):
        run(translated, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert all(sha256(tmp_path / "a" / file) == sha256(tmp_path / "b" / file) for file in files)


def test_missing_speech_is_an_error(translated: Path, tmp_path: Path) -> None:
    """A trial without its speech is not passed over."""
    folder = translated / "translate_test"
    write_speech(folder, [row for row in read_speech(folder) if row.utt != "g1_en"])
    with pytest.raises(EvaluationError, match=r"no resynthesised speech of g1_en \(en\)"):
        run(translated, tmp_path / "out")


def test_missing_units_are_an_error(translated: Path, tmp_path: Path) -> None:
    """A trial without its hypothesis is not passed over."""
    write_units(translated / "translate_test" / "units" / "ko-en.tsv", SOURCE, {"g0_ko": np.array([1])})
    with pytest.raises(EvaluationError, match=r"units/ko-en\.tsv: no translation of g1_ko"):
        run(translated, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resamples": 0}, "resamples: expected at least 1"),
        ({"samples_each": -1}, "samples_each: expected at least 0"),
        ({"asr": {**ASR, "beam": 0}}, "beam: expected at least 1"),
        ({"asr": {**ASR, "window_s": 31.0}}, "window_s: expected 1 to 30"),
        ({"asr": {**ASR, "padding_s": 5.0}}, "padding_s: expected 0 <= value < window_s / 2"),
        ({"asr": {**ASR, "max_tokens": 225}}, "max_tokens: expected 1 to 224"),
    ],
)
def test_rules_of_the_section(changes: dict[str, object], message: str) -> None:
    """Impossible numbers are refused with the field's name."""
    with pytest.raises(ConfigError, match=message):
        build(EvaluateConfig, {**VALUES, **changes}, where="test")
