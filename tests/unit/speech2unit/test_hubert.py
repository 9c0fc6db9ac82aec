"""The stage `hubert`: what it refuses, and that its training repeats, resumes and survives."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tongyeok import config
from tongyeok.base.manifests import Manifest
from tongyeok.base.stage import Context
from tongyeok.engine.hubert import HubertConfig
from tongyeok.errors import ConfigError, TrainingError, UnitError
from tongyeok.speech2unit import hubert
from tongyeok.speech2unit.hubert import LabelSet
from unit.speech2unit import toy_tones
from unit.speech2unit.toy_tones import CLUSTERS, TINY


def _config(**changes: Any) -> HubertConfig:
    return config.build(HubertConfig, TINY | changes, where="hubert.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of tones whose pitch is the label: `corpus/`, `manifest/` and `labels/`."""
    root = tmp_path_factory.mktemp("tones")
    toy_tones.build(root)
    return root


Run = Callable[..., dict[str, float]]


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Run the stage: `run(cfg, outputs="a", scratch="s", on_metrics=…)`."""

    def execute(
        cfg: HubertConfig,
        *,
        outputs: str = "outputs",
        scratch: str = "scratch",
        on_metrics: Callable[[int, Mapping[str, float]], None] = lambda _step, _values: None,
    ) -> dict[str, float]:
        (tmp_path / outputs).mkdir()
        inputs = hubert.Inputs(manifest=folder / "manifest", labels=folder / "labels")
        context = Context(scratch=tmp_path / scratch, threads=1, on_metrics=on_metrics)
        return hubert.run(cfg, inputs=inputs, outputs=tmp_path / outputs, context=context)

    return execute


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_interrupted_and_resumed_gives_the_same_bytes(run: Run, tmp_path: Path, optimizer: str) -> None:
    """A training stopped at any update and run again in another place makes exactly the files of one left alone."""

    def interrupt(step: int, values: Mapping[str, float]) -> None:
        if step == 5 and "train/loss" in values:
            raise KeyboardInterrupt

    heard: list[tuple[int, str]] = []
    metrics = run(
        _config(optimizer=optimizer),
        outputs="whole",
        scratch="one",
        on_metrics=lambda step, values: heard.extend((step, name) for name in values),
    )
    with pytest.raises(KeyboardInterrupt):
        run(_config(optimizer=optimizer), outputs="never", scratch="two", on_metrics=interrupt)
    assert _files(tmp_path / "never") == {}
    run(_config(optimizer=optimizer), outputs="resumed", scratch="two")
    expected, found = _files(tmp_path / "whole"), _files(tmp_path / "resumed")
    assert set(found) == {"checkpoint.pt", "curves.csv", "metrics.json", "plots/curves.png"}
    assert [name for name in expected if expected[name] != found[name]] == []
    assert metrics == json.loads(expected["metrics.json"])
    assert set(metrics) >= {"masked_accuracy", "unmasked_accuracy", "valid_loss", "train_loss", "clusters"}
    assert {step for step, name in heard if name == "train/loss"} == set(range(1, 9))
    assert {step for step, name in heard if name == "valid/loss"} == {3, 6, 8}
    header, *rows = expected["curves.csv"].decode().splitlines()
    assert header.startswith("step,train_loss,train_masked_accuracy,gradient_norm")
    assert len(rows) == 8


def test_finished_training_is_not_trained_further(run: Run, tmp_path: Path) -> None:
    """A run killed between its last update and its outputs exports the same model when run again."""
    run(_config(updates=2), outputs="first")
    run(_config(updates=2), outputs="second")
    assert _files(tmp_path / "first") == _files(tmp_path / "second")


def test_the_seed_matters(run: Run, tmp_path: Path) -> None:
    """Another seed gives another model, so equal bytes do not come from a model that was not trained."""
    run(_config(updates=1), outputs="a", scratch="sa")
    run(_config(updates=1, seed=2), outputs="b", scratch="sb")
    assert _files(tmp_path / "a")["checkpoint.pt"] != _files(tmp_path / "b")["checkpoint.pt"]


def test_the_loss_falls(run: Run) -> None:
    """Thirty updates on tones bring the loss well below that of guessing."""
    metrics = run(_config(updates=30, validate_updates=30, layer_drop=0.0, dropout=0.0, lr=4e-3))
    assert metrics["valid_loss"] < 0.9 * np.log2(CLUSTERS + 4)


def test_updates_whose_gradients_are_not_finite_are_dropped(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two poisoned updates cost two updates, not the training."""
    from tongyeok_fairseq.hubert_task import TongyeokHubertCriterion

    original, calls = TongyeokHubertCriterion.forward, []

    def poisoned(self: Any, model: Any, sample: Any, reduce: bool = True, log_pred: bool = False) -> Any:
        loss, size, log = original(self, model, sample, reduce, log_pred)
        calls.append(model.training)
        return (loss * float("nan"), size, log) if len(calls) in {3, 5} else (loss, size, log)

    monkeypatch.setattr(TongyeokHubertCriterion, "forward", poisoned)
    metrics = run(_config(updates=4, validate_updates=4))
    assert np.isfinite(metrics["valid_loss"])
    weights = torch.load(tmp_path / "outputs" / "checkpoint.pt", weights_only=True)["model"]
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_divergence_goes_back_and_lowers_the_learning_rate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a jump the training resumes from its last saved state at half the rate, and finishes there."""
    from tongyeok_fairseq import steady

    watched: list[tuple[int, float]] = []

    def watch(_self: Any, *, step: int, loss: float, norm: float, lr: float) -> None:  # noqa: ARG001
        watched.append((step, lr))
        if step == 5 and lr > 0.5e-3:
            raise steady.DivergedError("diverged at update 5", step=step)

    monkeypatch.setattr(steady.Monitor, "watch", watch)
    with pytest.raises(TrainingError, match="diverged at update 5"):
        run(_config(), outputs="stopped", scratch="stopping")
    watched.clear()
    run(_config(on_divergence="lower_lr"))
    rates = [lr for step, lr in watched if step == 5]
    assert [step for step, _ in watched] == [1, 2, 3, 4, 5, 4, 5, 4, 5, 6, 7, 8]
    assert rates == pytest.approx([rates[0], rates[0] / 2, rates[0] / 4])


def test_a_crash_is_an_error_that_names_the_log(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong inside fairseq ends as a TrainingError, never as a silent success."""
    from tongyeok_fairseq.hubert_task import RepeatableHubertDataset

    def unreadable(_self: Any, index: int) -> None:
        raise OSError(f"clip {index} is unreadable")

    monkeypatch.setattr(RepeatableHubertDataset, "get_audio", unreadable)
    with pytest.raises(TrainingError, match=r"fairseq crashed: clip \d+ is unreadable; its log is .*fairseq\.log"):
        run(_config())
    assert folder.is_dir()


def _labels(*lines: list[int]) -> LabelSet:
    return LabelSet(path=Path("train.km"), lines=tuple(np.array(line, dtype=np.int64) for line in lines))


def _manifest(*samples: int) -> Manifest:
    names = tuple(f"utt{number}" for number in range(len(samples)))
    return Manifest(root=Path(), utts=names, locations=names, samples=samples)


@pytest.mark.parametrize(("samples", "count", "rate"), [(16_000, 98, 100), (16_000, 50, 50), (4_000, 23, 100)])
def test_the_label_rate_is_told_from_lengths(samples: int, count: int, rate: int) -> None:
    """MFCC labels are 100 a second, HuBERT labels 50; nobody has to configure it."""
    assert hubert.detect_rate(_manifest(samples), _labels([0] * count)) == rate


def test_an_impossible_label_rate_is_refused() -> None:
    """75 labels a second belong to other audio."""
    with pytest.raises(UnitError, match=r"75\.0 labels a second; expected 100 \(MFCC\) or 50 \(HuBERT\)"):
        hubert.detect_rate(_manifest(16_000), _labels([0] * 75))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (_labels([0] * 98), r"1 lines of labels for 2 utterances"),
        (_labels([0] * 98, [0] * 90), r"utterance utt1: 90 labels at 100 a second for 1\.00 s of audio"),
        (_labels([0] * 98, [8] * 98), r"utterance utt1: expected labels in 0\.\.7 \(dict\.km\.txt\), got 8\.\.8"),
        (_labels([-1] * 98, [0] * 98), r"utterance utt0: expected labels in 0\.\.7 \(dict\.km\.txt\), got -1\.\.-1"),
    ],
)
def test_labels_that_do_not_fit_the_audio_are_refused(labels: LabelSet, message: str) -> None:
    """Counts, lengths and classes are checked before training, and the utterance is named."""
    with pytest.raises(UnitError, match=message):
        hubert.check_labels(_manifest(16_000, 16_000), labels, rate=100, clusters=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the dictionary is empty"),
        ("0 1\n1 1\n0 1\n1 1\n", r"expected the 4 labels 0\.\.3 in order"),
        ("1 1\n0 1\n", r"expected the 2 labels 0\.\.1 in order"),
    ],
)
def test_a_dictionary_that_would_spoil_training_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """An empty dictionary makes every label unknown and a doubled one twice as many classes: both are errors."""
    (tmp_path / "dict.km.txt").write_text(text)
    with pytest.raises(UnitError, match=message):
        hubert.read_clusters(tmp_path)


def test_missing_and_malformed_labels_are_named(tmp_path: Path) -> None:
    """A missing file and a line that is not integers are errors with their place."""
    with pytest.raises(UnitError, match=r"train\.km: no such label file"):
        hubert.read_labels(tmp_path, "train")
    with pytest.raises(UnitError, match=r"dict\.km\.txt: no such dictionary"):
        hubert.read_clusters(tmp_path)
    (tmp_path / "train.km").write_text("0 1 2\n0 x\n")
    with pytest.raises(UnitError, match=r"train\.km:2: expected integers, got '0 x'"):
        hubert.read_labels(tmp_path, "train")


def test_clips_too_short_to_mask_are_counted_or_refused() -> None:
    """Short clips are left out and counted; when none is left, that is an error."""
    assert hubert.kept_utterances(_manifest(16_000, 4_000), shortest_s=0.5, where="train.tsv") == 1
    with pytest.raises(
        UnitError, match=r"none of 1 clips is 0\.5 s long \(hubert\.shortest_s\), the longest has 0\.25 s"
    ):
        hubert.kept_utterances(_manifest(4_000), shortest_s=0.5, where="train.tsv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_layers": [[8, 16, 256]]}, r"strides must multiply to 320 samples .*, got 256"),
        ({"heads": 3}, "heads: must divide width 16, got 3"),
        ({"position_groups": 3}, "position_groups: must divide width 16, got 3"),
        ({"dropout": 1.0}, r"dropout: expected 0 <= value < 1, got 1\.0"),
        ({"updates": 0}, "updates: expected more than 0, got 0"),
        ({"mask_prob": 0.9}, r"shortest_s: masks could cover a whole clip; expected at least .* = 1\.00 s, got 0\.5"),
        (
            {"validate_updates": 5, "report_updates": 2},
            "validate_updates: must be a multiple of report_updates 2, got 5",
        ),
        ({"longest_s": 0.4}, r"longest_s: expected shortest_s 0\.5 < longest_s <= batch_audio_s 4\.0, got 0\.4"),
        ({"products": "float16"}, "field `products`"),
    ],
)
def test_rules_of_the_section(changes: dict[str, Any], message: str) -> None:
    """A value that breaks a rule is refused with field, rule, value and remedy."""
    with pytest.raises(ConfigError, match=message):
        _config(**changes)


def test_the_learning_rate_follows_the_audio_per_update() -> None:
    """Four times the audio per update doubles the peak rate; at the stated amount it is the stated one."""
    assert _config(audio_s_per_update=4.0).peak_lr == pytest.approx(2e-3)
    assert _config(audio_s_per_update=16.0).peak_lr == pytest.approx(4e-3)
    assert dataclasses.replace(_config(), audio_s_per_update=16.0).batches_per_update == 4
