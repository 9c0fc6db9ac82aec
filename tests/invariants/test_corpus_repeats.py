"""The stage `corpus` repeats byte for byte: again, in another order, and with several processes."""

from pathlib import Path

import pytest

from tongyeok import config
from tongyeok.base.stage import silent
from tongyeok.corpus import corpus
from tongyeok.corpus.espeak import Voice, speak

TABLE = """group\tsplit\tko\ten
g1\ttrain\t안녕하세요.\tGood morning.
g2\ttest\t고맙습니다.\tThank you.
g3\ttrain\t내일 봐요.\tSee you tomorrow.
"""
SPEAKER = {"name": "alto", "variant": "f2", "pitch": 50, "pitch_range": 50}
SETTINGS = {
    "source": {
        "importer": "sentences",
        "table": "sentences.tsv",
        "max_groups": None,
        "readers": {},
        "voices": {"ko": {"name": "ko", "rate_wpm": 180}, "en": {"name": "en-us", "rate_wpm": 140}},
        "speakers": [SPEAKER, SPEAKER | {"name": "bass", "variant": "m2"}],
        "silence_ms": 100,
        "peak": 0.7,
    },
    "languages": ["ko", "en"],
    "channels": "mono",
    "min_seconds": 0.1,
    "max_seconds": 10.0,
    "pack_mib": 200,
}


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def made(tmp_path: Path) -> dict[str, bytes]:
    """All files that one process makes."""
    (tmp_path / "sentences.tsv").write_text(TABLE)
    return make(tmp_path, "first", threads=1)


def make(data: Path, name: str, *, threads: int) -> dict[str, bytes]:
    cfg = config.build(corpus.CorpusConfig, SETTINGS, where="corpus")
    outputs = data / name
    outputs.mkdir()
    corpus.run(cfg, inputs=corpus.Inputs(data=data), outputs=outputs, context=silent(data, threads=threads))
    return everything(outputs)


def test_the_same_corpus_twice(tmp_path: Path, made: dict[str, bytes]) -> None:
    """Rendering the same sentences again gives the same packs, tables and metrics."""
    assert sorted(made) == ["en-000.zip", "ko-000.zip", "metrics.json", "phones.tsv", "utterances.tsv"]
    assert make(tmp_path, "second", threads=1) == made


def test_one_process_equals_two(tmp_path: Path, made: dict[str, bytes]) -> None:
    """Two processes make the bytes that one makes."""
    assert make(tmp_path, "second", threads=2) == made


def test_speech_does_not_depend_on_what_was_said_before() -> None:
    """espeak-ng's hidden state never leaks: an utterance sounds the same whatever another voice said before it."""
    alto = Voice(name="en-us+f2", rate_wpm=140, pitch=50, pitch_range=50)
    bass = Voice(name="ko+m2", rate_wpm=200, pitch=30, pitch_range=70)
    alone = speak("Six sheep see the sea.", alto)
    for text in ("안녕하세요.", "고맙습니다. 내일 봐요."):
        speak(text, bass)
        again = speak("Six sheep see the sea.", alto)
        assert again.samples.tobytes() == alone.samples.tobytes()
        assert again.phones == alone.phones
