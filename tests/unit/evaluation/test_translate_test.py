"""The stage `translate_test` on a tiny world with a parrot in place of the translator."""

from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.audio import read_location
from tongyeok.base.files import sha256
from tongyeok.base.stage import silent
from tongyeok.base.units import UnitSource, read_units
from tongyeok.config import build
from tongyeok.errors import ConfigError, EvaluationError, UnitError
from tongyeok.evaluation import translate_test
from tongyeok.evaluation.speech import read_speech
from tongyeok.evaluation.translate_test import Inputs, TranslateTestConfig
from tongyeok.unit2unit.tags import UTUT, tag_of, units_of
from unit.evaluation.world import SOURCE, Parrot, vocoder

VALUES = {
    "directions": ["ko-en"],
    "beam": 2,
    "length_penalty": 1.0,
    "longest_per_token": 2.0,
    "longest_extra": 5,
    "batch_tokens": 100,
}


@pytest.fixture(autouse=True)
def _parrot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate_test, "UnitTranslator", Parrot)


def run(world: Path, outputs: Path, **changes: object) -> dict[str, float]:
    """Run the stage on a world's folders."""
    outputs.mkdir()
    cfg = build(TranslateTestConfig, {**VALUES, **changes}, where="test")
    inputs = Inputs(**{name: world / name for name in Inputs.__dataclass_fields__})
    return translate_test.run(cfg, inputs=inputs, outputs=outputs, context=silent(outputs))


def test_every_trial_is_translated_and_every_reference_resynthesised(built: Path, tmp_path: Path) -> None:
    """Units and speech stand for each source; each reference is resynthesised once, at its own length."""
    metrics = run(built, tmp_path / "out")
    source, units = read_units(tmp_path / "out" / "units" / "ko-en.tsv")
    assert source == SOURCE
    assert list(units) == ["g0_ko", "g1_ko", "g2_ko"]
    rows = read_speech(tmp_path / "out")
    assert [(row.kind, row.direction, row.utt) for row in rows] == [
        *(("translated", "ko-en", f"g{number}_ko") for number in range(3)),
        *(("resynthesised", "en", f"g{number}_en") for number in range(3)),
    ]
    for row in rows:
        samples = read_location(tmp_path / "out", row.audio)
        assert samples.size == row.samples > 0
        assert row.kind == "translated" or row.samples == 30 * 320
    assert metrics["ko-en/pairs"] == 3
    wanted = sum(len(line.split()) - 1 for line in (built / "bitext" / "test.tgt").read_text().splitlines()[:3])
    assert metrics["ko-en/unit_ratio"] == sum(map(len, units.values())) / wanted


def test_hypotheses_have_no_repeats(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adjacent repeats that a translator makes are dropped before units are scored or spoken."""
    monkeypatch.setattr(Parrot, "translate", lambda _self, sources, **_how: [np.array([1, 1, 2, 2, 0])] * len(sources))
    run(built, tmp_path / "out")
    _, units = read_units(tmp_path / "out" / "units" / "ko-en.tsv")
    assert units["g0_ko"].tolist() == [1, 2, 0]


def test_nothing_to_say_is_kept_as_such(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty hypothesis has an empty row in every table."""
    monkeypatch.setattr(Parrot, "translate", lambda _self, sources, **_how: [np.zeros(0, np.int32)] * len(sources))
    metrics = run(built, tmp_path / "out")
    _, units = read_units(tmp_path / "out" / "units" / "ko-en.tsv")
    assert [sequence.size for sequence in units.values()] == [0, 0, 0]
    assert [(row.audio, row.samples) for row in read_speech(tmp_path / "out")[:3]] == [("", 0)] * 3
    assert metrics["ko-en/duration_ratio"] == 0


def test_same_inputs_same_bytes(built: Path, tmp_path: Path) -> None:
    """Two runs write the same files, byte for byte."""
    for name in ("a", "b"):
        run(built, tmp_path / name, directions="all")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 8
    assert all(sha256(tmp_path / "a" / file) == sha256(tmp_path / "b" / file) for file in files)


def test_another_dictionary_is_refused(tiny: Path, tmp_path: Path) -> None:
    """A translator of other units is refused."""
    (tiny / "translator" / "dict.txt").write_text("0 1\n")
    with pytest.raises(EvaluationError, match="the translator was trained on other units"):
        run(tiny, tmp_path / "out")


def test_utut_tags_say_the_same(built: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With UTUT's tags in the bitext the target's tag is written that way, and units and figures are the same."""
    bitext = tiny / "bitext"
    for side in ("src", "tgt"):
        lines = (bitext / f"test.{side}").read_text().splitlines()
        whole = [UTUT.sentence(tag_of(line)[1:-1], units_of(line)) for line in lines]
        (bitext / f"test.{side}").write_text("\n".join(whole) + "\n")
    wanted: list[object] = []
    backwards = Parrot.translate

    def listen(self: Parrot, sources: list[str], **how: object) -> list[np.ndarray]:
        wanted.append(how["tag"])
        return backwards(self, sources, **how)

    monkeypatch.setattr(Parrot, "translate", listen)
    metrics = run(tiny, tmp_path / "utut", directions="all")
    assert wanted == ["[en]", "[ko]"]
    assert metrics == run(built, tmp_path / "prefix", directions="all")
    for name in ("ko-en", "en-ko"):
        ours, theirs = ((tmp_path / each / "units" / f"{name}.tsv").read_bytes() for each in ("utut", "prefix"))
        assert ours == theirs


def test_another_codebook_is_refused(tiny: Path, tmp_path: Path) -> None:
    """A vocoder of another codebook is refused."""
    vocoder(UnitSource(codebook="d" * 64, checkpoint="", clusters=6)).save(tiny / "vocoder")
    with pytest.raises(UnitError, match="this vocoder speaks units of"):
        run(tiny, tmp_path / "out")


def test_utterances_outside_the_test_split_are_refused(tiny: Path, tmp_path: Path) -> None:
    """What the manifest does not hold out must not be scored."""
    path = tiny / "manifest" / "test.utt"
    path.write_text(path.read_text().replace("g1_en", "g9_en"))
    with pytest.raises(EvaluationError, match="g1_en: in the bitext's test split but not in the manifest's"):
        run(tiny, tmp_path / "out")


@pytest.mark.parametrize(("name", "value"), [("beam", 0), ("batch_tokens", 0), ("longest_extra", -1)])
def test_rules_of_the_section(name: str, value: int) -> None:
    """Impossible numbers are refused with the field's name."""
    with pytest.raises(ConfigError, match=f"{name}: expected at least"):
        build(TranslateTestConfig, {**VALUES, name: value}, where="test")
