"""The stage `vocoder` on a toy corpus: it learns, repeats byte for byte, resumes, and refuses what does not fit."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tongyeok import config
from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.base.stage import Context, silent
from tongyeok.base.units import UnitSource, write_units
from tongyeok.errors import ManifestError, UnitError
from tongyeok.unit2speech import vocoder
from tongyeok.unit2speech.durations import to_frames
from tongyeok.unit2speech.synthesis import UnitVocoder
from unit.unit2speech import toy_voices
from unit.unit2speech.toy_voices import CFG, HIFIGAN, TRAIN, VALID


class KilledError(Exception):
    """Stands for an interruption."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> vocoder.Inputs:
    """Clips in two languages, each all units in some order; unit u: a tone of 150 (u + 1) Hz for u + 1 frames."""
    return toy_voices.build(tmp_path_factory.mktemp("toy"))


def build(**changes: object) -> vocoder.VocoderConfig:
    return config.build(vocoder.VocoderConfig, {**CFG, **changes}, where="test")


def contents(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def finished(inputs: vocoder.Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of one uninterrupted run."""
    home = tmp_path_factory.mktemp("finished")
    (home / "scratch").mkdir()
    vocoder.run(build(), inputs=inputs, outputs=home / "out", context=silent(home / "scratch"))
    return home / "out"


def test_outputs_are_whole(finished: Path) -> None:
    """A run writes the vocoder, curves, plots, metrics and a sample of each language in three versions."""
    files = contents(finished)
    assert {"generator.safetensors", "config.json", "curves.csv", "duration_curves.csv", "metrics.json"} <= set(files)
    assert sum(name.startswith("samples/") for name in files) == 6
    assert sum(name.startswith("plots/mels-") for name in files) == 2
    assert files["curves.csv"].decode().splitlines()[0] == "step,loss,mel_error"
    original, _ = soundfile.read(finished / "samples" / f"en{TRAIN}-original.flac")
    resynthesised, _ = soundfile.read(finished / "samples" / f"en{TRAIN}-true_durations.flac")
    assert original.shape == resynthesised.shape == (21 * 320,)


def test_same_seed_gives_the_same_bytes(finished: Path, inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """Run twice with the same seed, every output file is the same."""
    vocoder.run(build(), inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path))
    assert contents(tmp_path / "out") == contents(finished)


@pytest.mark.parametrize("killed", [("speech", 16), ("durations", 8)])
def test_resumed_run_gives_the_same_bytes(
    finished: Path, inputs: vocoder.Inputs, tmp_path: Path, killed: tuple[str, int]
) -> None:
    """Killed in either training and run again on the same scratch folder, every output file is the same."""

    def on_metrics(step: int, values: Mapping[str, float]) -> None:
        if step == killed[1] and f"{killed[0]}/loss" in values:
            raise KilledError

    context = Context(scratch=tmp_path, threads=1, on_metrics=on_metrics)
    with pytest.raises(KilledError):
        vocoder.run(build(), inputs=inputs, outputs=tmp_path / "cut", context=context)
    assert (tmp_path / "speech.pt").exists()
    vocoder.run(build(), inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path))
    assert contents(tmp_path / "out") == contents(finished)


def test_another_seed_gives_another_vocoder(finished: Path, inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """The seed matters."""
    vocoder.run(build(seed=2), inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path))
    assert contents(tmp_path / "out")["generator.safetensors"] != contents(finished)["generator.safetensors"]


def test_it_learns(inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """After 150 updates on tones, unheard mels are within 1.0 (natural log) and durations within 0.3 frames."""
    cfg = build(updates=150, duration_updates=150, products="float32", validate_every=50)
    metrics = vocoder.run(cfg, inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path))
    losses = [float(row.split(",")[1]) for row in (tmp_path / "out" / "curves.csv").read_text().splitlines()[1:]]
    assert losses == sorted(losses, reverse=True)
    assert metrics["mel_error"] < 1.0
    assert metrics["duration_error"] < 0.3  # 3 frames for every unit would err by 1.5
    assert abs(metrics["duration_ratio"] - 1) < 0.1


def test_repeats_would_stutter(inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """A learned predictor that is asked about every repeat makes the speech far longer; the door asks once a run."""
    cfg = build(updates=1, duration_updates=150)
    vocoder.run(cfg, inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path))
    loaded = UnitVocoder.load(tmp_path / "out")
    units = np.repeat(np.arange(6), np.arange(1, 7)).astype(np.int32)  # 21 frames, as long as the tones were
    predicted = loaded.generator.log_durations(torch.from_numpy(units.astype(np.int64))[None], torch.tensor([0]))
    assert int(to_frames(predicted).sum()) > 2 * units.size
    dvector = np.full(256, 1 / 16, dtype=np.float32)
    spoken = loaded.synthesise(units, dvector=dvector, lang="en", predict_durations=True)
    assert abs(spoken.size / 320 - units.size) <= 3


def test_hifigan_learns(inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """Against discriminators, the log-mel error on unheard tones falls by a quarter from 10 to 80 updates."""
    cfg = build(**HIFIGAN, updates=80, duration_updates=1, validate_every=10)
    vocoder.run(cfg, inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path))
    header, *rows = (tmp_path / "out" / "curves.csv").read_text().splitlines()
    assert header == "step,loss,opponent_loss,mel_error"
    errors = [float(row.split(",")[3]) for row in rows]
    assert errors[-1] < 0.75 * errors[0]


def test_hifigan_resumes_to_the_same_bytes(inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """Killed and run again on the same scratch folder, adversarial training writes the same bytes as uninterrupted."""
    cfg = build(**HIFIGAN, updates=12, duration_updates=2, validate_every=6, save_every=5)
    scratch = {name: tmp_path / name / "scratch" for name in ("whole", "cut")}
    for folder in scratch.values():
        folder.mkdir(parents=True)

    def kill(step: int, _values: Mapping[str, float]) -> None:
        if step == 6:
            raise KilledError

    vocoder.run(cfg, inputs=inputs, outputs=tmp_path / "whole" / "out", context=silent(scratch["whole"]))
    with pytest.raises(KilledError):
        vocoder.run(
            cfg,
            inputs=inputs,
            outputs=tmp_path / "unfinished",
            context=Context(scratch=scratch["cut"], threads=1, on_metrics=kill),
        )
    vocoder.run(cfg, inputs=inputs, outputs=tmp_path / "cut" / "out", context=silent(scratch["cut"]))
    assert contents(tmp_path / "cut" / "out") == contents(tmp_path / "whole" / "out")
    loaded = UnitVocoder.load(tmp_path / "cut" / "out")
    assert loaded.cfg.head == "hifigan"


def test_the_vocoder_is_usable(finished: Path) -> None:
    """The written folder loads and speaks, with both kinds of durations."""
    loaded = UnitVocoder.load(finished)
    assert loaded.languages == ("en", "ko")
    dvector = np.full(256, 1 / 16, dtype=np.float32)
    units = np.array([0, 1, 1, 2], dtype=np.int32)
    for predict in (False, True):
        assert loaded.synthesise(
            units, dvector=dvector, lang="ko", predict_durations=predict, source=loaded.source
        ).size


def test_units_of_other_audio_are_refused_before_training(inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """Units that are not as long as their audio stop the stage, naming the utterance."""
    for lang in ("en", "ko"):
        source = UnitSource(codebook="c", checkpoint="", clusters=6)
        units = {f"{lang}{number}": np.zeros(21 - 2 * (number == 3), np.int32) for number in range(TRAIN + VALID)}
        write_units(tmp_path / "units" / f"{lang}.tsv", source, units)
    with pytest.raises(UnitError, match=r"en3: expected 21 units for 6720 samples .* got 19"):
        vocoder.run(
            build(),
            inputs=dataclasses.replace(inputs, units=tmp_path / "units"),
            outputs=tmp_path / "out",
            context=silent(tmp_path),
        )


def test_empty_splits_are_refused(inputs: vocoder.Inputs, tmp_path: Path) -> None:
    """A manifest without validation utterances stops the stage."""
    empty = Manifest(root=inputs.corpus, utts=(), locations=(), samples=())
    for split in ("train", "valid"):
        write_manifest(tmp_path / "manifest", split, empty)
    with pytest.raises(ManifestError, match=r"train.tsv: expected at least one utterance"):
        vocoder.run(
            build(),
            inputs=dataclasses.replace(inputs, manifest=tmp_path / "manifest"),
            outputs=tmp_path / "out",
            context=silent(tmp_path),
        )
