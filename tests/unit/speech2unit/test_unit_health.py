"""Stage unit_health: figures, tables and plots for healthy units, one clear error for collapsed ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.stage import silent
from tongyeok.base.units import UnitSource, write_units
from tongyeok.base.utterances import read_utterances
from tongyeok.config import build
from tongyeok.errors import ConfigError, UnitError
from tongyeok.speech2unit.unit_health import Inputs, UnitHealthConfig, run
from unit.speech2unit.toy_speech import Speech

CLUSTERS = 40
SOURCE = UnitSource(codebook="c" * 64, checkpoint="d" * 64, clusters=CLUSTERS)
LOOSE = UnitHealthConfig(min_used_share=0.1, max_top10_share=0.9, min_perplexity_share=0.1)


def _units(folder: Path, speech: Speech, *, korean: int = CLUSTERS, skip: str = "") -> Path:
    """Random units of every utterance; Korean uses only so many."""
    rng = np.random.default_rng(0)
    for lang, used in (("en", CLUSTERS), ("ko", korean)):
        rows = [row for row in read_utterances(speech.corpus) if row.lang == lang and row.utt != skip]
        write_units(
            folder / f"{lang}.tsv", SOURCE, {row.utt: rng.integers(used, size=row.samples // 320) for row in rows}
        )
    return folder


def test_healthy_units_pass(speech: Speech, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Metrics, tables and plots are written, the table is printed, and a second run gives the same bytes."""
    units = _units(tmp_path / "units", speech)
    for name in ("first", "second"):
        inputs = Inputs(corpus=speech.corpus, manifest=speech.manifest, units=units)
        metrics = run(LOOSE, inputs=inputs, outputs=tmp_path / name, context=silent(tmp_path))
    outputs = tmp_path / "first"
    assert metrics["en/used"] == metrics["all/used"] == CLUSTERS
    assert 0 < metrics["ko/pnmi"] < 1
    assert json.loads((outputs / "metrics.json").read_text()) == metrics
    names = sorted(str(path.relative_to(outputs)) for path in outputs.rglob("*") if path.is_file())
    plots = [f"plots/{name}.png" for name in ("overlap", "phones_en", "phones_ko", "rank_frequency", "run_lengths")]
    tables = ["ranks/en.csv", "ranks/ko.csv", "runs/en.csv", "runs/ko.csv"]
    assert names == ["languages.csv", "metrics.json", "overlap.csv", *plots, *tables]
    for name in names:
        assert (outputs / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert (outputs / "ranks" / "en.csv").read_text().startswith("rank,share\n1,0.")
    header, *lines = capsys.readouterr().out.splitlines()[:4]
    assert header.split()[:2] == ["units", "used/40"]
    assert [line.split()[0] for line in lines] == ["en", "ko", "all"]


def test_test_utterances_do_not_count(speech: Speech, tmp_path: Path) -> None:
    """The test split is left out: it has 2 of each language's 10 utterances."""
    inputs = Inputs(corpus=speech.corpus, manifest=speech.manifest, units=_units(tmp_path / "units", speech))
    run(LOOSE, inputs=inputs, outputs=tmp_path, context=silent(tmp_path))
    frames = int((tmp_path / "languages.csv").read_text().splitlines()[1].split(",")[1])
    rows = [row for row in read_utterances(speech.corpus) if row.lang == "en"]
    assert frames == sum(row.samples // 320 for row in rows[:8])


def test_collapsed_units_stop_the_pipeline(speech: Speech, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the language, each figure with its threshold, and remedies; the table is printed before."""
    units = _units(tmp_path / "units", speech, korean=3)
    cfg = replace(LOOSE, min_used_share=0.5)
    inputs = Inputs(corpus=speech.corpus, manifest=speech.manifest, units=units)
    with pytest.raises(UnitError) as caught:
        run(cfg, inputs=inputs, outputs=tmp_path / "health", context=silent(tmp_path))
    message = str(caught.value)
    assert "ko: uses 3 of 40 units, expected at least 20 (min_used_share 0.5)" in message
    assert "ko: its ten most frequent units take 100.0% of all frames, expected at most 90.0%" in message
    assert "ko: perplexity 3.0 of 40, expected at least 4.0 (min_perplexity_share 0.1)" in message
    assert "Remedies: clean recordings of more speakers; another HuBERT iteration" in message
    assert "en:" not in message
    assert "ko" in capsys.readouterr().out


def test_missing_units_are_refused(speech: Speech, tmp_path: Path) -> None:
    """An utterance of the manifest without units, and a folder without unit files, are named."""
    inputs = Inputs(corpus=speech.corpus, manifest=speech.manifest, units=_units(tmp_path, speech, skip="g2_ko"))
    with pytest.raises(UnitError, match="utterance 'g2_ko' has no units; rebuild `units`"):
        run(LOOSE, inputs=inputs, outputs=tmp_path / "health", context=silent(tmp_path))
    with pytest.raises(UnitError, match="no unit files; run the stage `units` first"):
        run(LOOSE, inputs=replace(inputs, units=tmp_path / "none"), outputs=tmp_path / "h", context=silent(tmp_path))


def test_shares_are_shares() -> None:
    """A threshold outside 0..1 is refused."""
    with pytest.raises(ConfigError, match=r"max_top10_share: expected a share between 0 and 1, got 50\.0"):
        build(
            UnitHealthConfig,
            {"min_used_share": 0.1, "max_top10_share": 50.0, "min_perplexity_share": 0.1},
            where="unit_health",
        )
