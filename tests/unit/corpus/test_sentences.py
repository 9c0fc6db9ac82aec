"""corpus/sources/sentences.py and corpus/espeak.py: sentences, turns of speakers, edges and phones."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tongyeok import config
from tongyeok.corpus.espeak import Speech, Voice, speak
from tongyeok.corpus.sources import sentences
from tongyeok.errors import ConfigError, CorpusError

TABLE = """group\tsplit\tko\ten
g1\ttrain\t안녕하세요.\tGood morning.
g2\ttest\t고맙습니다.\tThank you.
g3\ttrain\t\tSee you tomorrow.
g4\ttrain\t물이 필요해요.\tI need water.
"""
ALTO = {"name": "alto", "variant": "f2", "pitch": 50, "pitch_range": 50}
BASS = {"name": "bass", "variant": "m2", "pitch": 40, "pitch_range": 50}


def settings(**changes: object) -> sentences.SentencesConfig:
    values = {
        "importer": "sentences",
        "table": "sentences.tsv",
        "max_groups": None,
        "readers": {},
        "voices": {"ko": {"name": "ko", "rate_wpm": 180}, "en": {"name": "en-us", "rate_wpm": 140}},
        "speakers": [ALTO, BASS],
        "silence_ms": 100,
        "peak": 0.7,
    }
    return config.build(sentences.SentencesConfig, values | changes, where="source")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "sentences.tsv").write_text(TABLE)
    return tmp_path


def test_speakers_take_turns_within_a_split(data: Path) -> None:
    """A group has one speaker in all languages, speakers alternate within a split, empty sentences are left out."""
    found = sentences.recordings(settings(), data=data, languages=("ko", "en"))
    assert [(r.utt, r.speaker) for r in found] == [
        ("g1_ko", "alto"),
        ("g1_en", "alto"),
        ("g2_ko", "alto"),
        ("g2_en", "alto"),
        ("g3_en", "bass"),
        ("g4_ko", "alto"),
        ("g4_en", "alto"),
    ]
    assert found[4].where == f"{data}/sentences.tsv:4"


def test_several_readers_of_a_group(data: Path) -> None:
    """Each further reader of a group is the next speaker, with ids of their own, in all languages."""
    found = sentences.recordings(settings(readers={"train": 2}), data=data, languages=("ko", "en"))
    first = [(r.utt, r.speaker) for r in found if r.group == "g1"]
    assert first == [("g1_ko", "alto"), ("g1_en", "alto"), ("g1_ko_2", "bass"), ("g1_en_2", "bass")]
    assert all(not r.utt.endswith("_2") for r in found if r.split != "train")


def test_more_readers_than_speakers_are_refused() -> None:
    """The message names the split and the number of speakers."""
    with pytest.raises(ConfigError, match="readers: expected 1 to 2, the number of speakers, got train: 3"):
        settings(readers={"train": 3})


def test_max_groups_takes_the_first_of_each_split(data: Path) -> None:
    """`max_groups` keeps so many groups of each split, and none of a split that it does not name."""
    found = sentences.recordings(settings(max_groups={"train": 2}), data=data, languages=("en",))
    assert [r.group for r in found] == ["g1", "g3"]


def test_edges_and_peak() -> None:
    """Quiet edges become 100 ms of silence on both sides, the peak is set, and phones cover every sample."""
    samples = np.zeros(22_050, dtype=np.float32)
    samples[5_000:15_000] = 0.2 * np.sin(np.arange(10_000) / 5)
    phones = (("", 0), ("ˈa", 5_000), ("m", 10_000), ("", 15_000), ("", 18_000))
    clip = sentences.frame_speech(Speech(samples=samples, rate=22_050, phones=phones), silence_ms=100, peak=0.7)
    assert clip.rate == 16_000
    assert not clip.samples[:1_600].any()
    assert not clip.samples[-1_600:].any()
    assert np.abs(clip.samples).max() == pytest.approx(0.7)
    assert len(clip.samples) == pytest.approx(2 * 1_600 + 10_000 * 16_000 / 22_050, abs=80)
    assert [phone.name for phone in clip.phones] == ["sil", "a", "m", "sil"]
    assert clip.phones[-1].end == len(clip.samples)
    assert clip.phones[1].end == pytest.approx(1_600 + 5_000 * 16_000 / 22_050, abs=80)


def test_phones_stand_where_they_sound() -> None:
    """espeak-ng's phone times are true: the hiss of an s in "a sea" lies inside its phone."""
    speech = speak("Aha, sea.", Voice(name="en-us", rate_wpm=140, pitch=50, pitch_range=50))
    clip = sentences.frame_speech(speech, silence_ms=100, peak=0.7)
    names = [phone.name for phone in clip.phones]
    begin, end = clip.phones[names.index("s") - 1].end, clip.phones[names.index("s")].end
    hiss = np.abs(np.diff(clip.samples[:, 0])) ** 2
    strongest = np.argmax(np.convolve(hiss, np.ones(800), mode="same"))
    assert begin < strongest < end


def test_speech_is_unlike_between_speakers_and_languages() -> None:
    """Variant, pitch, rate and language all reach the synthesiser."""
    voice = Voice(name="en-us+f2", rate_wpm=140, pitch=50, pitch_range=50)
    said = {
        other: speak("Good morning.", other).samples.tobytes()
        for other in (
            voice,
            replace(voice, name="en-us+m2"),
            replace(voice, name="es+f2"),
            replace(voice, rate_wpm=200),
            replace(voice, pitch=70),
            replace(voice, pitch_range=90),
        )
    }
    assert len(set(said.values())) == len(said)


def test_an_unknown_voice_is_refused() -> None:
    """A voice that espeak-ng does not have is named."""
    with pytest.raises(CorpusError, match=re.escape("espeak-ng has no voice 'martian'")):
        speak("Good morning.", Voice(name="martian", rate_wpm=140, pitch=50, pitch_range=50))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("id\tko\n", "sentences.tsv:1: expected the columns group, split and languages, got 'id\\tko'"),
        ("group\tsplit\tko\ng1\ttrain\n", "sentences.tsv:2: expected 3 columns, got 2"),
    ],
)
def test_a_malformed_table_is_refused(data: Path, table: str, told: str) -> None:
    """Errors of the table name file and line."""
    (data / "sentences.tsv").write_text(table)
    with pytest.raises(CorpusError, match=re.escape(told)):
        sentences.recordings(settings(), data=data, languages=("ko",))


def test_a_missing_table_or_voice_is_refused(data: Path) -> None:
    """No table, and a language without a voice, are refused with what to correct."""
    with pytest.raises(CorpusError, match=re.escape("corpus.source.voices: no espeak-ng voice for fr; add one")):
        sentences.recordings(settings(), data=data, languages=("ko", "fr"))
    (data / "sentences.tsv").unlink()
    with pytest.raises(CorpusError, match=re.escape("sentences.tsv: no such table of sentences; correct --data")):
        sentences.recordings(settings(), data=data, languages=("ko",))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"speakers": []}, "speakers: expected at least one, got none"),
        ({"speakers": [ALTO, ALTO]}, "speakers: expected different names, got alto, alto"),
        ({"silence_ms": -1}, "silence_ms: expected 0 or more, got -1"),
        ({"peak": 1.5}, "peak: expected above 0 and up to 1, got 1.5"),
        ({"voices": {"ko": {"name": "ko", "rate_wpm": 10}}}, "rate_wpm: expected 80 to 450 words a minute, got 10"),
    ],
)
def test_bad_settings_are_explained(changes: dict[str, object], told: str) -> None:
    """Each rule of the section is told with field, rule and what was given."""
    with pytest.raises(ConfigError, match=re.escape(told)):
        settings(**changes)
