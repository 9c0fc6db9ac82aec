"""The whole chain for one recording: what it reads, what belongs together, and that it is the stages' own way."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tongyeok.base.audio import UNIT_HOP
from tongyeok.base.files import sha256, write_text
from tongyeok.base.manifests import read_manifest
from tongyeok.base.units import UnitSource, run_lengths
from tongyeok.config import build
from tongyeok.errors import CheckpointError, CorpusError, EvaluationError
from tongyeok.evaluation import chain
from tongyeok.evaluation.chain import Chain, last_iteration, read_recording
from tongyeok.evaluation.translate_test import TranslateTestConfig
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import MfccExtractor
from tongyeok.speech2unit.units import MARGIN, encode
from tongyeok.unit2unit.tags import UTUT
from unit.evaluation.world import Parrot, vocoder

SEARCH = build(
    TranslateTestConfig,
    {
        "directions": "all",
        "beam": 3,
        "length_penalty": 1.0,
        "longest_per_token": 2.0,
        "longest_extra": 5,
        "batch_tokens": 100,
    },
    where="test",
)
TONE = np.sin(np.arange(24000) / 9).astype(np.float32)


@pytest.fixture
def models(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world with a codebook of MFCC and a vocoder of its units."""
    monkeypatch.setattr(chain, "UnitTranslator", Parrot)
    centroids = np.random.default_rng(4).standard_normal((6, 39)).astype(np.float32)
    Codebook(centroids=centroids, feature="mfcc", layer=None, checkpoint="").save(tiny / "kmeans" / "0" / FILE)
    source = UnitSource(codebook=sha256(tiny / "kmeans" / "0" / FILE), checkpoint="", clusters=6)
    vocoder(source).save(tiny / "vocoder")
    return tiny


def load(models: Path) -> Chain:
    """The chain of a world's models."""
    return Chain.load(
        kmeans=models / "kmeans" / "0",
        hubert=None,
        translator=models / "translator",
        vocoder=models / "vocoder",
        switch_penalty=0.1,
        device="cpu",
    )


def test_speech_in_speech_out(models: Path) -> None:
    """A recording becomes its units, their translation without repeats, and speech of whole units."""
    made = load(models).translate(TONE[:16000], source="ko", target="en", search=SEARCH)
    distinct, _ = run_lengths(made.source_units)
    assert made.source_units.size == 50
    assert made.units.tolist() == distinct.tolist()[::-1]
    assert made.samples.size % UNIT_HOP == 0
    assert made.samples.size >= made.units.size * UNIT_HOP


def test_units_are_those_of_the_stage(models: Path) -> None:
    """The chain gives an utterance the units that the stage `units` gives it."""
    loaded = load(models)
    manifest = read_manifest(models / "manifest", "test")
    wanted = dict(
        encode(manifest, loaded.codebook, MfccExtractor(margin=MARGIN), switch_penalty=0.1, description="test")
    )
    samples = read_recording(_as_file(models, manifest.locations[0]), mix=False)
    assert loaded.units_of(samples).tolist() == wanted[manifest.utts[0]].tolist()


def _as_file(models: Path, location: str) -> Path:
    pack, offset, size = location.split(":")
    data = (models / "corpus" / pack).read_bytes()[int(offset) : int(offset) + int(size)]
    path = models / "one.flac"
    path.write_bytes(data)
    return path


def test_search_is_handed_on(models: Path) -> None:
    """Beam and lengths of section `translate_test` reach the translator, and the target's tag is forced."""
    loaded = load(models)
    loaded.translate(TONE, source="en", target="ko", search=SEARCH)
    (call,) = loaded.translator.calls  # type: ignore[attr-defined]
    assert (call["tag"], call["beam"], call["longest_extra"]) == ("<ko>", 3, 5)


def test_utut_tags_are_read_from_the_dictionary(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A translator whose dictionary has UTUT's tags gets sentences and the target's tag written that way."""
    symbols = UTUT.symbols(6, ["ko", "en"])
    write_text(models / "translator" / "dict.txt", "".join(f"{symbol} 1\n" for symbol in symbols))
    heard: list[str] = []

    def listen(self: Parrot, sources: list[str], **how: object) -> list[np.ndarray]:
        heard.extend(sources)
        self.calls.append(how)
        return [np.array([1, 2], dtype=np.int32)]

    monkeypatch.setattr(Parrot, "translate", listen)
    loaded = load(models)
    made = loaded.translate(TONE, source="en", target="ko", search=SEARCH)
    distinct, _ = run_lengths(made.source_units)
    assert heard == [UTUT.sentence("en", distinct)]
    assert [call["tag"] for call in loaded.translator.calls] == ["[ko]"]  # type: ignore[attr-defined]
    assert loaded.languages == ("ko", "en")


def test_unknown_languages_are_refused(models: Path) -> None:
    """Languages outside the dictionary are refused with those in it."""
    loaded = load(models)
    for source, target in (("fr", "en"), ("ko", "fr")):
        with pytest.raises(EvaluationError, match="this translator knows ko, en, not 'fr'"):
            loaded.translate(TONE, source=source, target=target, search=SEARCH)


def test_models_must_belong_together(models: Path) -> None:
    """A dictionary or a vocoder of other units is refused."""
    write_text(models / "translator" / "dict.txt", "0 1\n1 1\n<ko> 1\n<en> 1\n")
    with pytest.raises(CheckpointError, match=r"dict\.txt: expected the units 0 to 5"):
        load(models)
    (models / "translator" / "dict.txt").unlink()
    with pytest.raises(CheckpointError, match="run `dvc repro translator`"):
        load(models)


def test_a_vocoder_of_other_units_is_refused(models: Path) -> None:
    """The vocoder must speak the codebook's units."""
    vocoder().save(models / "vocoder")
    with pytest.raises(CheckpointError, match=r"speaks units of .*rebuild `vocoder`"):
        load(models)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_any_sample_rate(tmp_path: Path, rate: int) -> None:
    """A second of sound is 16,000 samples, whatever its rate."""
    soundfile.write(tmp_path / "a.wav", 0.5 * TONE[:1].repeat(rate), rate)
    assert abs(read_recording(tmp_path / "a.wav", mix=False).size - 16000) <= 1


def test_stereo_wants_a_decision(tmp_path: Path) -> None:
    """Stereo is refused with the remedy, and averaged where that is asked for."""
    soundfile.write(tmp_path / "a.flac", np.stack([0.5 * TONE, 0 * TONE], axis=1), 16000)
    with pytest.raises(CorpusError, match=r"a\.flac: expected one channel, got 2 at 16000 Hz; give `--mix`"):
        read_recording(tmp_path / "a.flac", mix=False)
    assert np.abs(read_recording(tmp_path / "a.flac", mix=True) - 0.25 * TONE).max() < 1e-3


def test_unusable_recordings(tmp_path: Path) -> None:
    """No file, no audio, NaN and next to nothing each get an error that names the file."""
    with pytest.raises(CorpusError, match=r"no\.wav: no such file"):
        read_recording(tmp_path / "no.wav", mix=False)
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(CorpusError, match=r"text\.wav: expected an audio file"):
        read_recording(tmp_path / "text.wav", mix=False)
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(CorpusError, match=r"nan\.wav: expected finite samples"):
        read_recording(tmp_path / "nan.wav", mix=False)
    soundfile.write(tmp_path / "short.wav", TONE[:100], 16000)
    with pytest.raises(CorpusError, match=r"short\.wav: expected at least 0\.02 s"):
        read_recording(tmp_path / "short.wav", mix=False)


def test_last_iteration(tmp_path: Path) -> None:
    """The highest number, not the last in the alphabet."""
    with pytest.raises(CheckpointError, match="run `dvc repro`"):
        last_iteration(tmp_path)
    for name in ("2", "10", ".10.partial", "x"):
        (tmp_path / name).mkdir()
    assert last_iteration(tmp_path).name == "10"
