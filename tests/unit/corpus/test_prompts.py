"""corpus/sources/prompts.py: recorded prompts in G.722, their transcripts, and the rules that leave some out."""

import re
from pathlib import Path
from typing import Self

import av
import numpy as np
import pytest
from av.error import FFmpegError

from tongyeok import config
from tongyeok.base.audio import read_location
from tongyeok.base.stage import silent
from tongyeok.base.utterances import read_utterances
from tongyeok.corpus import corpus
from tongyeok.corpus.sources import prompts
from tongyeok.errors import ConfigError, CorpusError

SOURCE = {
    "importer": "prompts",
    "folders_left_out": ["digits", "silence"],
    "min_seconds": 1.0,
    "speakers": {"en": "allison"},
}


def settings(**changes: object) -> prompts.PromptsConfig:
    return config.build(prompts.PromptsConfig, SOURCE | changes, where="corpus.source")


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * 16_000)) / 16_000)).astype(np.float32)


def record(path: Path, seconds: float) -> None:
    """Write a tone as headerless G.722 with FFmpeg's encoder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (tone(seconds) * 32_767).astype(np.int16)
    with av.open(str(path), mode="w", format="g722") as container:
        stream = container.add_stream("g722", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Prompts in two languages: two shared sentences, and one for each rule in English."""
    folder = tmp_path / "data"
    for lang in ("en", "es"):
        record(folder / lang / "hello.g722", 1.2)
        record(folder / lang / "dictate" / "pause.g722", 1.5)
    for name, seconds in (("beep", 1.2), ("yes", 0.5), ("unknown", 1.2), ("blank", 1.2), ("digits/1", 1.2)):
        record(folder / "en" / f"{name}.g722", seconds)
    texts = [
        *("; Sounds in English", "", "hello: Hello: world.", "dictate/pause: Pause (now)."),
        *("beep: [a tone]", "yes: Yes.", "digits/1: One", "blank:", "lost: Nobody says this."),
    ]
    (folder / "en.txt").write_text("\n".join(texts) + "\n")
    (folder / "es.txt").write_text("hello: Hola a todos.\ndictate/pause: Pausa.\n", encoding="utf-8")
    return folder


def test_the_same_name_is_the_same_sentence(data: Path) -> None:
    """Prompts are listed by name; the relative name is the group, without `/` the id; texts may hold colons."""
    found = prompts.listing(settings(), data=data, languages=("en", "es")).recordings
    assert [(r.utt, r.group, r.lang, r.speaker, r.text) for r in found] == [
        ("dictate.pause_en", "dictate/pause", "en", "allison", "Pause (now)."),
        ("hello_en", "hello", "en", "allison", "Hello: world."),
        ("dictate.pause_es", "dictate/pause", "es", "", "Pausa."),
        ("hello_es", "hello", "es", "", "Hola a todos."),
    ]
    assert found[1].where == str(data / "en" / "hello.g722")


def test_what_is_no_sentence_is_left_out_by_a_rule(data: Path) -> None:
    """Each rule leaves out its prompt, and says why in words."""
    left_out = prompts.listing(settings(), data=data, languages=("en", "es")).left_out
    assert {row.name: row.rule for row in left_out} == {
        "beep": "sound",
        "blank": "no_text",
        "digits/1": "folder",
        "lost": "no_recording",
        "unknown": "no_text",
        "yes": "short",
    }
    assert all(row.lang == "en" and row.why == prompts.RULES[row.rule] for row in left_out)


def test_the_stage_counts_what_is_left_out(data: Path, tmp_path: Path) -> None:
    """The stage's metrics count each rule, left_out.tsv names each prompt, and the packs hold what was recorded."""
    values = {"source": SOURCE, "languages": ["en", "es"], "channels": "mono"}
    values |= {"min_seconds": 1.0, "max_seconds": 9.0, "pack_mib": 1}
    cfg = config.build(corpus.CorpusConfig, values, where="corpus")
    outputs = tmp_path / "corpus"
    outputs.mkdir()
    metrics = corpus.run(cfg, inputs=corpus.Inputs(data=data), outputs=outputs, context=silent(tmp_path))
    left_out = {name.removeprefix("left_out/en/"): n for name, n in metrics.items() if name.startswith("left_out")}
    assert left_out == {"sound": 1, "no_text": 2, "folder": 1, "no_recording": 1, "short": 1}
    lines = (outputs / corpus.LEFT_OUT).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "lang\tname\trule\twhy"
    assert lines[1] == f"en\tbeep\tsound\t{prompts.RULES['sound']}"
    assert len(lines) == 7
    (hello,) = (row for row in read_utterances(outputs) if row.utt == "hello_es")
    samples = read_location(outputs, hello.audio)
    assert samples.size == hello.samples == 19_200
    assert np.argmax(np.abs(np.fft.rfft(samples[2_000:18_000]))) == 220
    assert np.abs(samples[2_000:]).max() == pytest.approx(0.3, abs=0.01)


def test_the_header_is_the_file_size(data: Path) -> None:
    """A file of 64 kbit/s holds two samples a byte, and decoding gives just as many, between -1 and 1."""
    audio = prompts.PromptAudio(path=data / "en" / "hello.g722")
    header = audio.probe()
    assert (header.channels, header.rate, header.samples) == (1, 16_000, 19_200)
    assert audio.load().samples.shape == (19_200, 1)


def test_an_empty_recording_is_refused(data: Path) -> None:
    """An empty file is not left out as short: it is a fault, told with the file."""
    (data / "en" / "hello.g722").write_bytes(b"")
    found = prompts.listing(settings(), data=data, languages=("en",)).recordings
    with pytest.raises(CorpusError, match=re.escape("expected G.722 audio, got an empty file (0 bytes); fetch")):
        found[1].audio.probe()


@pytest.mark.parametrize(
    ("failing", "told"), [(True, "got what FFmpeg cannot decode ("), (False, "got 0; fetch the prompts again")]
)
def test_what_does_not_decode_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch, failing: bool, told: str) -> None:
    """An error of FFmpeg's and a number of samples that the size does not promise are told."""

    class Broken:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def decode(self, *, audio: int) -> list[object]:
            if failing:
                raise FFmpegError(audio, "broken")
            return []

    monkeypatch.setattr(prompts.av, "open", lambda *_args, **_how: Broken())
    with pytest.raises(CorpusError, match=re.escape(told)):
        prompts.PromptAudio(path=data / "en" / "hello.g722").load()


def test_missing_data_tells_how_to_fetch_it(data: Path) -> None:
    """Without a language's folder or transcripts the message names the script."""
    with pytest.raises(CorpusError, match=re.escape(f"got none; run `tools/fetch_prompts.sh {data}`")):
        prompts.listing(settings(), data=data, languages=("fr",))
    (data / "es.txt").unlink()
    with pytest.raises(CorpusError, match=re.escape("es.txt: expected transcripts, got no such file; run `tools/")):
        prompts.listing(settings(), data=data, languages=("es",))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (b"hello: Hi\nno colon here\n", "en.txt:2: expected `name: text`, got 'no colon here'; correct the line"),
        (b": Hi\n", "en.txt:1: expected `name: text`, got ': Hi'"),
        (b"hello: Hi\nhello: Hey\n", "en.txt:2: expected one text for 'hello', got 'Hey' after 'Hi'; remove one"),
        (b"hello: caf\xe9\n", "en.txt: expected UTF-8, got byte 10 that is not; convert the file"),
    ],
)
def test_malformed_transcripts_are_refused(data: Path, table: bytes, told: str) -> None:
    """A line without a colon or name, two texts for one prompt and another encoding are told with their place."""
    (data / "en.txt").write_bytes(table)
    with pytest.raises(CorpusError, match=re.escape(told)):
        prompts.listing(settings(), data=data, languages=("en",))


def test_a_prompt_that_is_left_out_may_have_two_texts(data: Path) -> None:
    """Debian's Spanish transcripts say `digits/0` twice; what lies in a folder left out is no matter."""
    with (data / "en.txt").open("a") as file:
        file.write("digits/1: Uno\n")
    assert len(prompts.listing(settings(), data=data, languages=("en",)).recordings) == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"min_seconds": -1.0}, "min_seconds: expected 0 or more, got -1.0; usual is 1"),
        ({"folders_left_out": ["a/b"]}, "folders_left_out: expected names of folders without `/`, got 'a/b'"),
        ({"folders_left_out": [""]}, "folders_left_out: expected names of folders without `/`, got ''"),
    ],
)
def test_bad_settings_are_explained(changes: dict[str, object], told: str) -> None:
    """Each rule of the section is told with field, rule and what was given."""
    with pytest.raises(ConfigError, match=re.escape(told)):
        settings(**changes)
