"""corpus/corpus.py and corpus/checks.py: what is packed, and what each bad input is told."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tongyeok import config
from tongyeok.base.audio import read_location
from tongyeok.base.stage import silent
from tongyeok.base.utterances import read_utterances
from tongyeok.corpus import corpus
from tongyeok.errors import ConfigError, CorpusError


def tone(seconds: float, *, rate: int = 16_000, hertz: float = 220) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def settings(**changes: object) -> corpus.CorpusConfig:
    values = {
        "source": {"importer": "folder", "layout": "folders"},
        "languages": ["ko", "en"],
        "channels": "mono",
        "min_seconds": 0.5,
        "max_seconds": 10.0,
        "pack_mib": 200,
    }
    return config.build(corpus.CorpusConfig, values | changes, where="corpus")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two groups in two languages, each in a form of its own, and a table for one language."""
    folder = tmp_path / "data"
    for lang in ("ko", "en"):
        (folder / lang).mkdir(parents=True)
    soundfile.write(folder / "ko" / "a.wav", tone(1.0, rate=44_100), 44_100, subtype="PCM_16")
    soundfile.write(folder / "ko" / "b.flac", tone(1.5), 16_000)
    soundfile.write(folder / "en" / "a.ogg", tone(1.2), 16_000)
    soundfile.write(folder / "en" / "b.mp3", tone(0.8), 16_000)
    rows = ["id\ttext\tspeaker\tsplit", "a\tGood  morning.\tkim\ttrain", "b\tThank you.\tlee\ttest"]
    (folder / "en.tsv").write_text("\n".join(rows) + "\n")
    return folder


def make(data: Path, cfg: corpus.CorpusConfig, *, threads: int = 1, name: str = "corpus") -> Path:
    outputs = data.parent / name
    outputs.mkdir()
    corpus.run(cfg, inputs=corpus.Inputs(data=data), outputs=outputs, context=silent(data.parent, threads=threads))
    return outputs


def message(data: Path, cfg: corpus.CorpusConfig) -> str:
    with pytest.raises(CorpusError) as caught:
        make(data, cfg)
    assert not list((data.parent / "corpus").glob("*.tsv")), "a table was written for an unusable corpus"
    return str(caught.value)


def test_folder_becomes_packs_and_a_table(data: Path) -> None:
    """Files of four kinds and two rates become 16 kHz mono packs, with texts, speakers and splits beside them."""
    outputs = make(data, settings())
    table = {utterance.utt: utterance for utterance in read_utterances(outputs)}
    assert list(table) == ["a_ko", "b_ko", "a_en", "b_en"]
    assert (table["a_en"].text, table["a_en"].speaker, table["b_en"].split) == ("Good morning.", "kim", "test")
    assert table["a_ko"].group == table["a_en"].group == "a"
    for utterance in table.values():
        samples = read_location(outputs, utterance.audio)
        assert len(samples) == utterance.samples
        middle = samples[2_000:10_000]
        assert np.argmax(np.abs(np.fft.rfft(middle, n=16_000))) == pytest.approx(220, abs=2)
    assert table["a_ko"].samples == pytest.approx(16_000, abs=1)


def test_metrics_count_languages_and_groups(data: Path) -> None:
    """Hours and utterances stand per language, and a group without one language is counted, not refused."""
    (data / "ko" / "b.flac").unlink()
    outputs = data.parent / "corpus"
    outputs.mkdir()
    cfg = settings(channels="mix")
    metrics = corpus.run(cfg, inputs=corpus.Inputs(data=data), outputs=outputs, context=silent(data.parent))
    assert metrics["groups"] == 2
    assert metrics["complete_groups"] == 1
    assert metrics["utterances/ko"] == 1
    assert metrics["hours/ko"] == pytest.approx(1 / 3600, abs=1e-4)


def test_packs_roll_over(data: Path) -> None:
    """A language's next pack begins when the configured size is reached, and every location stays readable."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 9 * 16_000).astype(np.float32)
    for name in ("c", "d", "e", "f", "g", "h", "i"):
        soundfile.write(data / "ko" / f"{name}.wav", noise, 16_000)
    outputs = make(data, settings(pack_mib=1))
    assert [path.name for path in sorted(outputs.glob("ko-*.zip"))] == ["ko-000.zip", "ko-001.zip"]
    for utterance in read_utterances(outputs):
        assert len(read_location(outputs, utterance.audio)) == utterance.samples


def test_channels_can_be_mixed(data: Path) -> None:
    """With `channels: mix` a stereo file becomes the average of its channels."""
    left = tone(1.0)
    soundfile.write(data / "ko" / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), 16_000, subtype="FLOAT")
    outputs = make(data, settings(channels="mix"))
    first = read_utterances(outputs)[0]
    np.testing.assert_allclose(read_location(outputs, first.audio), left / 2, atol=2**-14)


def stereo(path: Path) -> None:
    soundfile.write(path, np.stack([tone(1.0, rate=44_100)] * 2, axis=1), 44_100, subtype="PCM_16")


def not_a_number(path: Path) -> None:
    samples = tone(1.0)
    samples[100:103] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


def write(samples: np.ndarray, subtype: str = "FLOAT") -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples, 16_000, subtype=subtype)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            stereo,
            "expected one channel, got 2 channels at 44100 Hz; convert it to mono, or set corpus.channels to `mix`",
        ),
        (
            lambda path: path.write_bytes(b""),
            "expected an audio file, got an empty file (0 bytes); replace or remove it",
        ),
        (
            lambda path: path.write_text("not audio at all, but a note"),
            "expected an audio file (wav, flac, ogg, mp3), got 28 bytes that are not audio",
        ),
        (write(np.zeros(0, dtype=np.float32)), "got a file that holds no samples; replace or remove it"),
        (not_a_number, "expected finite samples, got NaN or infinity in 3 of 16000; replace or remove the file"),
        (
            write(np.full(16_000, -np.inf, dtype=np.float32)),
            "expected finite samples, got NaN or infinity in 16000 of 16000",
        ),
        (write(tone(1.0) * 30_000), "expected samples in -1 to 1, got 9000; scale the floating-point file"),
        (write(np.zeros(16_000, dtype=np.float32)), "got digital silence from beginning to end"),
        (write(tone(0.2)), "expected 0.5 to 10 s of audio, got 0.2 s; cut or remove it, or change corpus.min_seconds"),
        (write(tone(10.5)), "expected 0.5 to 10 s of audio, got 10.5 s; cut or remove it"),
    ],
    ids=["stereo", "empty", "text", "no-samples", "nan", "infinite", "integers", "silence", "short", "long"],
)
def test_bad_audio_is_named(data: Path, spoil: Callable[[Path], None], told: str) -> None:
    """Each kind of unusable audio is refused with the utterance, the file, what was expected and what was found."""
    spoil(data / "ko" / "a.wav")
    error = message(data, settings())
    assert error.startswith(f"utterance a_ko ({data}/ko/a.wav): ")
    assert told in error


def test_truncated_audio_is_named(data: Path) -> None:
    """A file whose header is fine but whose data ends early is refused when it is decoded."""
    path = data / "ko" / "b.flac"
    path.write_bytes(path.read_bytes()[:400])
    error = message(data, settings())
    assert error.startswith(f"utterance b_ko ({path}): ")


def test_a_missing_language_is_named(data: Path) -> None:
    """A configured language without a single utterance is refused before anything else."""
    error = message(data, settings(languages=["ko", "en", "fr"]))
    assert error == (
        "corpus.languages: expected utterances in ko, en, fr, got none in fr; add that language's data or remove it "
        "from corpus.languages"
    )


def test_a_duplicate_id_is_named(data: Path) -> None:
    """Two files with the same id in one language are refused, and both are named."""
    soundfile.write(data / "ko" / "a.flac", tone(1.0), 16_000)
    error = message(data, settings())
    first, second = data / "ko" / "a.flac", data / "ko" / "a.wav"
    assert error == f"utterance a_ko ({second}): expected a unique id, but {first} has the same; rename or remove one"


@pytest.mark.parametrize("name", ["a b", "a:b"])
def test_an_unusable_id_is_named(data: Path, name: str) -> None:
    """Ids that the file formats cannot carry are refused."""
    soundfile.write(data / "ko" / f"{name}.wav", tone(1.0), 16_000)
    assert f"utterance '{name}_ko'" in message(data, settings())


def test_many_faults_make_one_message(data: Path) -> None:
    """Eight unusable files make one error: the first in full, four by name, the rest as a number."""
    for number in range(8):
        (data / "ko" / f"x{number}.wav").write_bytes(b"")
    error = message(data, settings())
    assert error.startswith(f"utterance x0_ko ({data}/ko/x0.wav): expected an audio file")
    assert "\n7 more cannot be used: x1_ko" in error
    assert error.endswith(f"x4_ko ({data}/ko/x4.wav) and 3 others")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"languages": []}, "languages: expected different codes, at least one, got []; correct the list"),
        ({"languages": ["ko", "ko"]}, "got ['ko', 'ko']"),
        ({"min_seconds": 20.0}, "min_seconds: expected 0 to below max_seconds 10.0, got 20.0; lower it"),
        ({"pack_mib": 0}, "pack_mib: expected at least 1, got 0; usual is 200"),
        ({"channels": "left"}, "field `channels`"),
        ({"source": {"importer": "folder"}}, "field `source.folder.layout` is missing"),
        ({"source": {"importer": "tape"}}, "'tape'"),
    ],
)
def test_bad_settings_are_explained(changes: dict[str, object], told: str) -> None:
    """Each rule of the section is told with field, rule and what was given."""
    with pytest.raises(ConfigError, match=re.escape(told)):
        settings(**changes)
