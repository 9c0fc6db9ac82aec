"""The stage `vocoder` on a toy corpus: it learns, repeats byte for byte, resumes, and refuses what does not fit."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tongyeok import config
from tongyeok.base.audio import PackWriter
from tongyeok.base.manifests import Manifest, write_manifest
from tongyeok.base.stage import Context, silent
from tongyeok.base.units import UnitSource, write_units
from tongyeok.base.utterances import Utterance, write_utterances
from tongyeok.errors import ManifestError, UnitError
from tongyeok.unit2speech import vocoder
from tongyeok.unit2speech.synthesis import UnitVocoder

CFG = {
    "generator": {
        "head": "fourier", "width": 32, "layers": 2, "expansion": 2, "kernel": 3, "fft_samples": 640, "looks": 1,
        "duration_dropout": 0.1,
    },
    "segment_frames": 16, "batch_segments": 4, "updates": 24, "learning_rate": 3e-3, "warmup_updates": 2,
    "weight_decay": 0.01, "clip_norm": 10.0, "mel_weight": 1.0, "magnitude_weight": 0.5, "duration_updates": 24,
    "duration_batch": 4, "duration_learning_rate": 3e-3, "products": "bfloat16", "validate_every": 8,
    "valid_utterances": 2, "sample_utterances": 1, "save_every": 10, "seed": 1,
}  # fmt: skip


class KilledError(Exception):
    """Stands for an interruption."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> vocoder.Inputs:
    """Two languages, four clips to train on and two to validate; unit u: a tone of 150 (u + 1) Hz for u + 1 frames."""
    home = tmp_path_factory.mktemp("toy")
    random = np.random.default_rng(1)
    source = UnitSource(codebook="c", checkpoint="", clusters=6)
    utterances = []
    for lang in ("en", "ko"):
        units = {}
        with PackWriter(home / "corpus" / f"{lang}-000.zip") as pack:
            for number in range(6):
                codes = random.permutation(6)
                sequence = np.repeat(codes, codes + 1).astype(np.int32)
                phase = np.cumsum(2 * np.pi * 150 * (np.repeat(sequence, 320) + 1) / 16_000)
                location = pack.add(f"{lang}{number}", (0.3 * np.sin(phase)).astype(np.float32))
                units[f"{lang}{number}"] = sequence
                utterances.append(
                    Utterance(
                        utt=f"{lang}{number}",
                        group=f"g{number}",
                        lang=lang,
                        split="train" if number < 4 else "valid",
                        speaker="s",
                        text="",
                        audio=location,
                        samples=sequence.size * 320,
                    )
                )
        write_units(home / "units" / f"{lang}.tsv", source, units)
    write_utterances(home / "corpus", utterances)
    for split in ("train", "valid"):
        chosen = [utterance for utterance in utterances if utterance.split == split]
        manifest = Manifest(
            root=home / "corpus",
            utts=tuple(utterance.utt for utterance in chosen),
            locations=tuple(utterance.audio for utterance in chosen),
            samples=tuple(utterance.samples for utterance in chosen),
        )
        write_manifest(home / "manifest", split, manifest)
    return vocoder.Inputs(corpus=home / "corpus", manifest=home / "manifest", units=home / "units")


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
    original, _ = soundfile.read(finished / "samples" / "en4-original.flac")
    resynthesised, _ = soundfile.read(finished / "samples" / "en4-true_durations.flac")
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
    """After 150 updates on tones, unheard mels are within 1.0 (natural log), durations far better than one guess."""
    cfg = build(updates=150, duration_updates=150, products="float32", validate_every=50)
    metrics = vocoder.run(cfg, inputs=inputs, outputs=tmp_path / "out", context=silent(tmp_path))
    losses = [float(row.split(",")[1]) for row in (tmp_path / "out" / "curves.csv").read_text().splitlines()[1:]]
    assert losses == sorted(losses, reverse=True)
    assert metrics["mel_error"] < 1.0
    one_guess = np.abs(np.arange(1, 7) - 3).mean()  # frames: what 3 for every unit would err
    assert metrics["duration_error"] < one_guess / 3
    assert abs(metrics["duration_ratio"] - 1) < 0.1


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
        units = {f"{lang}{number}": np.zeros(21 - 2 * (number == 3), np.int32) for number in range(6)}
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
