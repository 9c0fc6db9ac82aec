"""Trials of toy studies: what they make, what they share, when they are given up, and what they leave."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import torch
import yaml

from tongyeok import config, runner
from tongyeok.base.manifests import read_manifest
from tongyeok.base.units import read_units
from tongyeok.errors import TongyeokError, TrainingError, UnitError
from tongyeok.registry import BY_NAME
from tongyeok.speech2unit import unit_health
from tongyeok.speech2unit.codebook import FILE
from tongyeok.tuning import judge, study, worker
from tongyeok.tuning.objective import Objective
from tongyeok.tuning.space import Space
from tongyeok.tuning.trial_flow import Given, TrialFlow
from unit.speech2unit.test_hubert import TINY
from unit.tuning import world


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    world.quiet()
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.fixture
def spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with speech; its features are counted, its recogniser is an ear."""
    world.speech(tmp_path)
    monkeypatch.setattr("tongyeok.engine.features.FeatureReader", world.Counted)
    monkeypatch.setattr(world.Counted, "extracted", [])
    monkeypatch.setattr("tongyeok.tuning.judge.Whisper", world.Ear)
    monkeypatch.setattr(world.Ear, "frozen", [])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with units of digits."""
    world.units(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_features_are_extracted_once_and_samples_shared(spoken: Path) -> None:
    """Three trials of one layer read each recording's features from one extraction, and fit on one sample of frames."""
    opened, objective = world.open_study(spoken, world.write_space(spoken, world.UNIT_SPACE, trials=3))
    assert worker.work(opened, objective) == 3
    recordings = sum(len(read_manifest(spoken / "outputs/manifest", split).utts) for split in ("train", "valid"))
    assert len(world.Counted.extracted) == recordings + 1  # one more tells the width
    made = {path.name: len(list(path.glob("[!.]*"))) for path in (spoken / "made").iterdir()}
    assert (made["features"], made["sample"], made["manifest"]) == (1, 1, 1)
    drawn = [trial.params for trial in opened.trials()]
    assert made["kmeans"] == len({params["kmeans.1.clusters"] for params in drawn})
    assert made["units"] == made["vocoder"] == len({tuple(sorted(params.items())) for params in drawn})


def test_a_study_makes_what_dvc_would(spoken: Path) -> None:
    """Codebook and units of a trial have the bytes that the stages give on the study's manifest, without its store."""
    opened, objective = world.open_study(spoken, world.write_space(spoken, world.UNIT_SPACE, trials=1))
    worker.work(opened, objective)
    (manifest,) = (spoken / "made/manifest").glob("[!.]*")
    given = {"manifest": manifest, "hubert": spoken / "outputs/hubert/1"}
    (spoken / "out").mkdir()
    for name, item, more in (("kmeans", "1", {}), ("units", None, {"corpus": spoken / "outputs/corpus"})):
        stage = BY_NAME[name]
        inputs = {**given, **more} | ({"kmeans": spoken / "out/kmeans"} if name == "units" else {})
        runner.execute(
            stage,
            item=item,
            inputs=runner.interface(stage).inputs(**inputs),
            outputs=spoken / "out" / name,
            params_path=spoken / "params.yaml",
        )
    for name, file in (("kmeans", FILE), ("units", "en.tsv")):
        (made,) = (spoken / "made" / name).glob("[!.]*")
        assert (made / file).read_bytes() == (spoken / "out" / name / file).read_bytes()


def test_test_sentences_have_no_units(spoken: Path) -> None:
    """Nothing that a study made knows an utterance of the project's test split."""
    opened, objective = world.open_study(spoken, world.write_space(spoken, world.UNIT_SPACE, trials=1))
    worker.work(opened, objective)
    unseen = set(read_manifest(spoken / "outputs/manifest", "test").utts)
    for path in (spoken / "made/units").glob("*/*.tsv"):
        assert not unseen & set(read_units(path)[1])
    assert not any(utt in path.read_text() for path in (spoken / "made").rglob("*.utt") for utt in unseen)


def test_the_judge_is_frozen(spoken: Path) -> None:
    """Every trial is heard with the parameters' own settings."""
    opened, objective = world.open_study(spoken, world.write_space(spoken, world.UNIT_SPACE, trials=3))
    worker.work(opened, objective)
    assert len(set(world.Ear.frozen)) == 1


def test_collapsed_units_get_no_vocoder(spoken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate of the flow gives a trial up before anything costly; the settings in force are never given up."""

    def collapsed(_cfg: object, _figures: object, *, clusters: int) -> None:
        if clusters != 6:
            raise UnitError("units collapsed: all of them")

    monkeypatch.setattr(unit_health, "judge", collapsed)
    dimensions = {"kmeans.last.clusters": {"choices": [4, 6]}}
    opened, objective = world.open_study(
        spoken, world.write_space(spoken, world.UNIT_SPACE, trials=6, dimensions=dimensions)
    )
    worker.work(opened, objective)
    assert {trial.state.name for trial in opened.trials() if trial.params["kmeans.1.clusters"] == 4} == {"PRUNED"}
    assert len(list((spoken / "made/vocoder").glob("[!.]*"))) == 1
    (reason,) = {trial.user_attrs["given up"] for trial in opened.trials() if "given up" in trial.user_attrs}
    assert reason == "units collapsed: all of them"


def test_settings_in_force_are_never_given_up(spoken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the study's first trial cannot be made, that is an error to mend, not a bad trial."""

    def collapsed(_cfg: object, _figures: object, *, clusters: int) -> None:
        raise UnitError(f"units collapsed: all {clusters}")

    monkeypatch.setattr(unit_health, "judge", collapsed)
    opened, objective = world.open_study(spoken, world.write_space(spoken, world.UNIT_SPACE))
    with pytest.raises(UnitError, match="all 6"):
        worker.work(opened, objective)
    assert world.states(opened) == {"FAIL": 1, "WAITING": 2}


def test_a_refused_combination_is_given_up(written: Path) -> None:
    """Settings that a stage refuses together, each of which it takes alone, end their trial, not the study."""
    architecture = "translator.architecture"
    dimensions = {f"{architecture}.heads": {"choices": [2, 8]}, f"{architecture}.width": {"choices": [16, 20]}}
    opened, objective = world.open_study(
        written, world.write_space(written, world.TRANSLATOR_SPACE, trials=1, dimensions=dimensions)
    )
    opened.study.enqueue_trial({f"{architecture}.heads": 8, f"{architecture}.width": 20}, user_attrs={study.SLOT: True})
    assert worker.work(opened, objective) == 2
    assert world.states(opened) == {"COMPLETE": 1, "PRUNED": 1}
    (refused,) = opened.trials(optuna.trial.TrialState.PRUNED)
    assert "expected an even multiple of heads (8), got 20" in refused.user_attrs["given up"]


def save_to_a_full_disk() -> Exception:
    """What torch raises there."""
    with pytest.raises(RuntimeError) as caught:
        torch.save({"weights": torch.zeros(100_000)}, "/dev/full")
    return caught.value


@pytest.mark.parametrize(
    "broken", [lambda: OSError(28, "No space left on device"), lambda: MemoryError("no memory"), save_to_a_full_disk]
)
def test_a_full_disk_is_no_trials_fault(
    written: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[], Exception]
) -> None:
    """A training that crashed for want of disk or memory stops the worker and leaves its trial to the next begin."""
    cause = broken()

    def crashed(_figure: str, flow: TrialFlow, **_: object) -> dict[str, float]:
        if flow.params["translator"]["optimisation"]["learning_rate"] == 0.01:
            return {"unit_bleu": 1.0}
        raise TrainingError(f"fairseq crashed: {cause}") from cause

    monkeypatch.setattr(judge, "take", crashed)
    opened, objective = world.open_study(written, world.write_space(written, world.TRANSLATOR_SPACE, trials=2))
    with pytest.raises(TrainingError, match="fairseq crashed: "):
        worker.work(opened, objective)
    assert world.states(opened) == {"COMPLETE": 1, "FAIL": 1}


def test_units_that_tell_little_of_phones_get_no_vocoder(spoken: Path) -> None:
    """Below a share of the first trial's PNMI a trial ends before its vocoder; the report names both figures."""
    space = world.write_space(
        spoken,
        world.UNIT_SPACE,
        trials=6,
        pruning={"pnmi_share": 1.0, "startup_trials": None, "warmup_percent": 0},
        dimensions={"kmeans.last.clusters": {"choices": [2, 6]}},
    )
    opened, objective = world.open_study(spoken, space)
    worker.work(opened, objective)
    reasons = [trial.user_attrs["given up"] for trial in opened.trials() if trial.params["kmeans.1.clusters"] == 2]
    assert reasons
    assert all(reason.startswith("PNMI 0.") and "of the first trial's" in reason for reason in reasons)


def test_a_trial_can_be_repeated_from_what_it_leaves(written: Path) -> None:
    """Its folder holds whole parameters that obey every rule, its settings, its inputs' digests and its figures."""
    opened, objective = world.open_study(written, world.write_space(written, world.TRANSLATOR_SPACE, trials=2))
    worker.work(opened, objective)
    for trial in opened.trials():
        folder = written / "toy/trials" / str(trial.number)
        params = yaml.safe_load((folder / "params.yaml").read_text())
        facts = json.loads((folder / "trial.json").read_text())
        assert facts["inputs"] == dict(opened.plan.inputs)
        assert facts["settings"] == trial.user_attrs["settings"]
        assert config.build(Space, facts["space"], where="trial.json") == opened.plan.space
        assert (
            params["translator"]["optimisation"]["learning_rate"]
            == facts["settings"]["translator.optimisation.learning_rate"]
        )
        figures = json.loads((folder / "metrics.json").read_text())
        assert figures["unit_bleu"] == trial.value
        again = Objective(
            opened, given=Given(flow=written / "outputs", last="1"), folder=written, pieces=written / "again", threads=1
        )
        repeated, given_up = again._judge(
            optuna.trial.FixedTrial(trial.params),
            params,
            _Deaf(),
            first=True,  # type: ignore[arg-type]
        )
        assert given_up is None
        assert repeated["unit_bleu"] == trial.value


class _Deaf:
    """A run that nobody logs."""

    def on_metrics(self, step: int, values: object) -> None:
        """Forget a point."""


def test_translators_share_their_bitext(written: Path) -> None:
    """Trials that vary the training alone binarise once; the other convention of tags costs one more."""
    dimensions = {**world.TRANSLATOR_SPACE["dimensions"], "bitext.tags": {"choices": ["prefix", "utut"]}}
    space = world.write_space(written, world.TRANSLATOR_SPACE, trials=4, dimensions=dimensions)
    opened, objective = world.open_study(written, space)
    worker.work(opened, objective)
    tags = {trial.params["bitext.tags"] for trial in opened.trials()}
    assert len(list((written / "made/bitext").glob("[!.]*"))) == len(tags)
    assert len(list((written / "made/translator").glob("[!.]*"))) == 4


def test_running_losses_are_pruned(written: Path) -> None:
    """A trial whose validation loss is above the median at the same share of its training ends there."""
    dimensions = {"translator.optimisation.learning_rate": {"choices": [0.01, 1e-9]}}
    space = world.write_space(
        written,
        world.TRANSLATOR_SPACE,
        trials=8,
        dimensions=dimensions,
        training_share=1.0,
        pruning={"pnmi_share": None, "startup_trials": 1, "warmup_percent": 0},
    )
    opened, objective = world.open_study(written, space)
    worker.work(opened, objective)
    slow = [trial for trial in opened.trials() if trial.params["translator.optimisation.learning_rate"] == 1e-9]
    assert slow
    for trial in slow:
        assert trial.state.name == "PRUNED"
        assert list(trial.intermediate_values) == [50]
        assert "valid/nll_loss" in trial.user_attrs["given up"]
    assert opened.first is not None
    assert opened.first.intermediate_values[50] < 0  # told as the figure goes: more is better
    assert not list((written / "made/translator").glob(".*.scratch"))


def test_several_figures_make_a_front(written: Path) -> None:
    """Quality against size and speed: each trial has all figures, nothing is pruned by running losses."""
    dimensions = {"translator.architecture.width": {"choices": [8, 16]}}
    space = world.write_space(
        written,
        world.TRANSLATOR_SPACE,
        figures=["unit_bleu", "parameters", "translation_ms"],
        dimensions=dimensions,
        pruning={"pnmi_share": None, "startup_trials": 1, "warmup_percent": 0},
    )
    opened, objective = world.open_study(written, space)
    assert worker.work(opened, objective) == 3
    assert all(len(trial.values) == 3 and not trial.intermediate_values for trial in opened.trials())
    for trial in opened.trials():
        metrics = json.loads((written / "toy/trials" / str(trial.number) / "metrics.json").read_text())
        assert trial.values == [metrics[name] for name in ("unit_bleu", "parameters", "translation_ms")]


def test_missing_outputs_are_named(written: Path) -> None:
    """A study says what it needs before it begins."""
    with pytest.raises(TongyeokError, match="a study of units needs the outputs of `hubert`; run `dvc repro hubert`"):
        world.open_study(written, world.write_space(written, world.UNIT_SPACE))


def test_earlier_clusters_retrain_hubert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where K of the MFCC labels varies, each value trains one HuBERT on the study's splits; no given one is read."""
    world.speech(tmp_path)
    shutil.rmtree(tmp_path / "outputs/hubert")
    last = world.UNIT_PARAMS["kmeans"]["1"]
    params = {
        **world.UNIT_PARAMS,
        "kmeans": {"0": {**last, "source": "manifest", "layer": None, "smoothing": 0}, "1": last},
        "labels": {"0": {"switch_penalty": 0.0}},
        "hubert": {"1": {**TINY, "updates": 3}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    dimensions = {"kmeans.0.clusters": {"choices": [5, 6]}, "kmeans.last.clusters": {"choices": [5, 6]}}
    space = world.write_space(
        tmp_path, world.UNIT_SPACE, figures=["units_per_second"], fixed={}, trials=4, dimensions=dimensions
    )
    opened, objective = world.open_study(tmp_path, space)
    assert worker.work(opened, objective) == 4
    first = {trial.params["kmeans.0.clusters"] for trial in opened.trials()}
    made = {path.name: len(list(path.glob("[!.]*"))) for path in (tmp_path / "made").iterdir()}
    assert made["hubert"] == made["features"] == made["labels"] == len(first)
    assert "vocoder" not in made
