"""The tiny world of `world.py`, built once a session and copied for each test that writes into it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tongyeok.base.utterances import read_utterances
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.scores import Heard, Outcome
from tongyeok.evaluation.speech import Trial, read_trials
from unit.evaluation import world
from unit.evaluation.world import TEXTS


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's folder, not to be written to."""
    folder = tmp_path_factory.mktemp("world") / "world"
    world.build(folder)
    return folder


@pytest.fixture
def tiny(built: Path, tmp_path: Path) -> Path:
    """A copy of the world."""
    return Path(shutil.copytree(built, tmp_path / "world"))


@pytest.fixture
def trials(built: Path) -> list[Trial]:
    """Korean to English."""
    return next(iter(read_trials(built / "bitext", read_utterances(built / "corpus")).values()))


@pytest.fixture
def outcomes(trials: list[Trial]) -> list[Outcome]:
    """One translation as good as its ceiling, one a little wrong, one empty; units as wanted."""
    texts = [normalise(text, lang="en") for text in TEXTS["en"]]
    heard = [
        Heard(translated=texts[0], resynthesised=texts[0], reference=texts[0]),
        Heard(translated=texts[1].replace("green", "red"), resynthesised=texts[1], reference=texts[1]),
        Heard(translated="", resynthesised=texts[2] + " late", reference=texts[2]),
    ]
    return [
        Outcome(
            trial=trial,
            units=np.array(trial.target_units.split()[1:], dtype=np.int32),
            speaker_similarity=0.5 + 0.1 * row,
            text=texts[row],
            heard=heard[row],
        )
        for row, trial in enumerate(trials)
    ]


@pytest.fixture
def korean(built: Path) -> list[Outcome]:
    """English to Korean: one as good as its ceiling, one with another ending, one with a wrong word."""
    _, trials = read_trials(built / "bitext", read_utterances(built / "corpus")).values()
    texts = [normalise(text, lang="ko") for text in TEXTS["ko"]]
    heard = [texts[0], texts[1].replace("동생이", "동생은"), texts[2].replace("저녁", "아침")]
    return [
        Outcome(
            trial=trial,
            units=np.array(trial.target_units.split()[1:], dtype=np.int32),
            speaker_similarity=0.5,
            text=texts[row],
            heard=Heard(translated=heard[row], resynthesised=texts[row], reference=texts[row]),
        )
        for row, trial in enumerate(trials)
    ]
