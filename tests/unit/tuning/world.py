"""Toy projects for studies: speech whose HuBERT needs no model, and bitext of digits that trains in a second."""

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml

from tongyeok import config, workplace
from tongyeok.base.utterances import read_utterances, write_utterances
from tongyeok.evaluation.asr import AsrConfig, Load
from tongyeok.tuning import space, study
from tongyeok.tuning.objective import Objective
from tongyeok.tuning.study import Opened
from tongyeok.tuning.trial_flow import Given
from unit.speech2unit import toy_speech
from unit.unit2unit import toy_training, toy_units
from unit.verbs.test_compare_units import PARAMS as COMPARED
from unit.verbs.test_compare_units import TEXT

UNIT_PARAMS: dict[str, Any] = {
    **COMPARED,
    "vocoder": COMPARED["vocoder"] | {"updates": 4, "validate_every": 2, "duration_updates": 1},
    "unit_health": {"min_used_share": 0.1, "max_top10_share": 1.0, "min_perplexity_share": 0.0},
}
TRANSLATOR_PARAMS: dict[str, Any] = {
    "runtime": {"threads": 1},
    "bitext": {**dataclasses.asdict(toy_units.config()), "languages": list(toy_units.LANGUAGES)},
    "translator": {
        "architecture": toy_training.architecture(),
        "optimisation": {**toy_training.optimisation(), "adam_betas": [0.9, 0.98]},
        "pretraining": None,
        "source_masking": None,
        "report_every": 2,
        "validate_every": 4,
        "checkpoint": "last",
        "valid_sentences": 6,
        "beam": 2,
    },
    "flow": {"last": "1"},
}
UNIT_SPACE: dict[str, Any] = {
    "kind": "units",
    "figures": ["resynthesis_wer"],
    "languages": ["en"],
    "trials": 3,
    "random_trials": 2,
    "seed": 1,
    "training_share": 1.0,
    "fixed": {"vocoder.updates": 2},
    "pruning": {"pnmi_share": None, "startup_trials": None, "warmup_percent": 0},
    "dimensions": {
        "kmeans.last.clusters": {"choices": [4, 6, 8]},
        "units.switch_penalty": {"low": 0.0, "high": 1.0, "step": 0.5},
    },
}
TRANSLATOR_SPACE: dict[str, Any] = {
    "kind": "translator",
    "figures": ["unit_bleu"],
    "languages": None,
    "trials": 3,
    "random_trials": 2,
    "seed": 1,
    "training_share": 0.5,
    "fixed": {},
    "pruning": {"pnmi_share": None, "startup_trials": None, "warmup_percent": 0},
    "dimensions": {
        "translator.optimisation.learning_rate": {"low": 0.001, "high": 0.02, "log": True},
        "translator.optimisation.tokens_per_batch": {"choices": [200, 400]},
    },
}


class Ear:
    """In place of whisper: hears originals whole, and of a resynthesis the more words the more units were used."""

    identity = "a patient ear"
    frozen: list[AsrConfig] = []  # noqa: RUF012  what every judge of a test was made with

    def __init__(self, cfg: AsrConfig, *, device: str, threads: int) -> None:
        assert (device, threads) == ("cpu", 1)
        Ear.frozen.append(cfg)

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """The text, or a part of it."""
        assert lang == "en"
        if description.endswith("original"):
            return [TEXT] * len(clips)
        return [" ".join(TEXT.split()[: 1 + len(clip()) % 3]) for clip in clips]


class Counted(toy_speech.FakeReader):
    """Counts the recordings whose features are extracted."""

    extracted: list[int] = []  # noqa: RUF012  layers, one entry a recording

    def extract_batch(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the fake gives."""
        Counted.extracted += [self.layer] * len(clips)
        return super().extract_batch(clips)


def speech(folder: Path) -> None:
    """Outputs of the flow up to HuBERT, and `params.yaml`, in a project folder."""
    made = toy_speech.build(folder / "outputs")
    write_utterances(made.corpus, [dataclasses.replace(row, text=TEXT) for row in read_utterances(made.corpus)])
    (folder / "outputs/hubert/1").mkdir(parents=True)
    (folder / "outputs/hubert/1/checkpoint.pt").write_bytes(b"weights")
    (folder / "params.yaml").write_text(yaml.safe_dump(UNIT_PARAMS))


def units(folder: Path) -> None:
    """Outputs of the flow up to the units, and `params.yaml`, in a project folder."""
    toy_units.build(folder / "outputs", groups={"train": 12, "valid": 3, "test": 3})
    (folder / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(TRANSLATOR_PARAMS))))


def write_space(folder: Path, values: Mapping[str, Any], *, name: str = "toy", **changes: object) -> space.Space:
    """Write a search space into a project folder, and read it."""
    path = folder / "conf/tune" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**copy.deepcopy(dict(values)), **changes}))
    return space.read_space(folder / "conf", name)


def open_study(folder: Path, found: space.Space, *, name: str = "toy") -> tuple[Opened, Objective]:
    """Begin a study in the project folder, and make what its only worker calls."""
    params = config.read_params(folder / "params.yaml")
    given = Given(flow=folder / "outputs", last="1")
    inputs = {kind: workplace.sampled_digest(path) for kind, path in given.needed(found, params).items()}
    plan = study.new_plan(found, params, inputs, heartbeat_s=60)
    url = f"sqlite:///{folder / 'studies.db'}"
    study.begin(url, name, plan=plan, now=space.check(found, params, where="conf/tune/toy.yaml"))
    opened = study.join(url, name, sampler_seed=1)
    return opened, Objective(opened, given=given, folder=folder / name, pieces=folder / "made", threads=1)


def states(opened: Opened) -> dict[str, int]:
    """How many trials are in each state."""
    names = [trial.state.name for trial in opened.trials()]
    return {name: names.count(name) for name in sorted(set(names))}


def quiet() -> None:
    """Let Optuna print nothing."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
