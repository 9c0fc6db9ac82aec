"""Trainings that torchrun starts in two processes on CPUs, which talk by gloo: the same model as in one process."""

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from tongyeok.engine.translation import UnitTranslator
from tongyeok.unit2speech.synthesis import UnitVocoder
from unit.recognizer import toy_letters
from unit.speech2unit import toy_tones
from unit.unit2speech import toy_voices
from unit.unit2unit import toy_training, toy_units

SOURCE = Path(__file__).resolve().parents[2] / "src"
TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
LAST_DIGIT = 1.01e-3  # fairseq rounds its figures to 1e-3; two processes add the same numbers in another order
TRANSLATOR = {
    "architecture": toy_training.architecture(),
    "optimisation": toy_training.optimisation()
    | {"updates": 24, "batches_per_update": 4, "tokens_per_batch": 100, "adam_betas": [0.9, 0.98], "optimizer": "muon"},
    "pretraining": None, "source_masking": None, "report_every": 1, "validate_every": 6, "checkpoint": "last",
    "valid_sentences": 6, "beam": 2,
}  # fmt: skip
RESTORED = TRANSLATOR | {
    "optimisation": TRANSLATOR["optimisation"] | {"updates": 4, "tokens_per_batch": 600, "batches_per_update": 2},  # type: ignore[operator]
    "pretraining": {
        "learns": "restoration", "masking": {"share": 0.3, "span_mean": 2.0},
        "optimisation": toy_training.optimisation() | {"tokens_per_batch": 100, "batches_per_update": 2},
    },
    "validate_every": 2,
}  # fmt: skip
HUBERT = toy_tones.TINY | {"optimizer": "muon", "audio_s_per_update": 8.0, "batch_audio_s": 2.0}  # and drops layers
RECOGNIZER = toy_letters.VALUES | {"freeze_share": 0.3, "validate_updates": 2}
DRY = {"duration_dropout": 0.0}  # its masks are drawn by process, all others by batch
SLOW = {"learning_rate": 1e-4, "duration_learning_rate": 1e-4}  # at high rates rounding grows tenfold every few updates
VOCODER = toy_voices.CFG | {
    "generator": toy_voices.CFG["generator"] | DRY, "products": "float32", "updates": 16, "duration_updates": 16,
    "validate_every": 4, "save_every": 4, **SLOW,
}  # fmt: skip
HIFIGAN = (
    VOCODER
    | toy_voices.HIFIGAN
    | {"generator": toy_voices.HIFIGAN["generator"] | DRY, "updates": 6, "duration_updates": 2, "validate_every": 2}
    | SLOW
)


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """A folder in which stages run as commands; outputs go to `<name>/`."""

    folder: Path

    def start(self, words: Sequence[str], *, outputs: str, together: bool, **variables: str) -> "subprocess.Popen[str]":
        """Start a stage in one process, or in two."""
        launch = TOGETHER if together else ()
        return subprocess.Popen(
            [sys.executable, *launch, "-m", "tongyeok", *words, "--outputs", outputs],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, words: Sequence[str], *, outputs: str, together: bool, **variables: str) -> str:
        """Run a stage to its good end, and return what it printed."""
        process = self.start(words, outputs=outputs, together=together, **variables)
        printed, _ = process.communicate()
        assert process.returncode == 0, printed[-6000:]
        return printed

    def curve(self, outputs: str, column: str, table: str = "curves.csv") -> np.ndarray:
        """A column of a table of curves, without its empty cells."""
        rows = csv.DictReader((self.folder / outputs / table).read_text().splitlines())
        return np.array([float(row[column]) for row in rows if row[column]])

    def agree(
        self,
        one: str,
        other: str,
        *columns: str,
        table: str = "curves.csv",
        digit: float = LAST_DIGIT,
        relative: float = 0.0,
    ) -> None:
        """Assert that curves of two trainings differ by less than `digit` plus a `relative` part; print the largest."""
        for column in columns:
            mine, theirs = self.curve(one, column, table), self.curve(other, column, table)
            assert mine.size == theirs.size > 2
            apart = np.abs(mine - theirs)
            said = f"{one}, {other}: {table} {column}: {mine.size} points, largest difference {apart.max():.1e}"
            print(f"{said}, relative {np.max(apart / np.abs(mine)):.1e}")
            assert np.all(apart < digit + relative * np.abs(mine)), (column, mine, theirs)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Units, tones and voices to train on, and the parameters of a stage under `<stage>.yaml`."""
    folder = tmp_path_factory.mktemp("torchrun")
    toy_units.build_bitext(folder / "units")
    toy_units.build_bitext(folder / "tagged", tags="utut")
    toy_tones.build(folder / "tones")
    toy_voices.build(folder / "voices")
    toy_letters.build(folder / "letters")
    sections: Mapping[str, Any] = {
        "translator": {"translator": TRANSLATOR},
        "restored": {"translator": RESTORED},
        "hubert": {"hubert": {"1": HUBERT}},
        "recognizer": {"recognizer": RECOGNIZER},
        "vocoder": {"vocoder": VOCODER},
        "hifigan": {"vocoder": HIFIGAN},
        "single": {"translator": TRANSLATOR | {"optimisation": TRANSLATOR["optimisation"] | {"batches_per_update": 1}}},  # type: ignore[operator]
    }
    for name, section in sections.items():
        (folder / f"{name}.yaml").write_text(json.dumps({"runtime": {"threads": 2}, **section}))
    return Workplace(folder=folder)


TRANSLATE = ("translator", "--bitext", "units/bitext", "--params", "translator.yaml")
VOICES = ("--corpus", "voices/corpus", "--manifest", "voices/manifest", "--units", "voices/units")
RESTORE = ("translator", "--bitext", "tagged/bitext", "--params", "restored.yaml")
PRETRAIN = ("hubert@1", "--manifest", "tones/manifest", "--labels", "tones/labels", "--params", "hubert.yaml")
HEARD = ("--corpus", "letters/corpus", "--manifest", "letters/manifest", "--hubert", "letters/hubert")
TUNE = ("recognizer", *HEARD, "--params", "recognizer.yaml")


@pytest.fixture(scope="module")
def translators(place: Workplace) -> str:
    """Train a translator in one process, and then in two, of which this is what was printed."""
    place.run(TRANSLATE, outputs="translator-1", together=False)
    return place.run(TRANSLATE, outputs="translator-2", together=True)


def test_two_processes_train_the_translator_of_one(place: Workplace, translators: str) -> None:
    """Same effective batch and rate, masks of dropout included: losses agree to their last digit."""
    line = "translator: 2 processes, each 2 x 100 tokens an update; effective batch 400 tokens, learning rate 0.01"
    assert translators.count(line) == 1, translators
    place.agree("translator-1", "translator-2", "train_loss", "valid_loss", "gradient_norm")
    loaded = [
        torch.load(place.folder / name / "checkpoint.pt", weights_only=False)
        for name in ("translator-1", "translator-2")
    ]
    assert list(loaded[0]["model"]) == list(loaded[1]["model"])
    folder = place.folder / "translator-2"
    translator = UnitTranslator(folder / "checkpoint.pt", folder / "dict.txt", device="cpu")
    assert translator.translate(["<ko> 1 2 3"], tag="<en>", beam=2)[0].size
    assert not (place.folder / ".translator-2.partial").exists()
    assert [path.name for path in (place.folder / ".tongyeok" / "scratch" / "translator").iterdir()] == ["lock"]


def scratch(place: Workplace) -> list[Path]:
    return sorted((place.folder / ".tongyeok" / "scratch" / "translator").glob("*/state/checkpoint_last.pt"))


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True), (True, True)])
def test_killed_it_goes_on_with_any_number_of_processes(
    place: Workplace, translators: str, before: bool, after: bool
) -> None:
    """Killed with -9 in the middle, in one process or two, and resumed in one or two: the same losses, none missing."""
    assert translators
    process = place.start(TRANSLATE, outputs="killed", together=before)
    deadline = time.monotonic() + 200
    while not scratch(place):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGKILL)  # torchrun alone, where there is one: the kernel ends its processes
    process.communicate()
    assert running(everyone) == []
    assert not (place.folder / "killed").exists()
    assert scratch(place), "it was killed too late to show anything"
    name = f"resumed-{before:d}{after:d}"
    place.run(TRANSLATE, outputs=name, together=after)
    place.agree("translator-1", name, "train_loss", "valid_loss")


def test_two_processes_restore_and_translate_as_one(place: Workplace) -> None:
    """The first makes the sentences to restore while the other waits; both phases have the losses of one process."""
    place.run(RESTORE, outputs="restored-1", together=False)
    printed = place.run(RESTORE, outputs="restored-2", together=True)
    assert "pretraining: 2 processes, each 1 x 100 tokens an update; effective batch 200 tokens" in printed
    place.agree("restored-1", "restored-2", "train_loss", table="pretraining/curves.csv")
    place.agree("restored-1", "restored-2", "train_loss")


def running(everyone: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended within 20 s."""
    psutil.wait_procs(everyone, timeout=20)
    return [each for each in everyone if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def tracebacks(printed: str) -> int:
    """How many there are besides torchrun's own, by which it reports which process failed."""
    return printed.count("Traceback (most recent call last)") - printed.count("ChildFailedError: ")


@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_dies_all_end(place: Workplace, rank: int) -> None:
    """Either process killed with -9: torchrun tells which, the other ends at once, the first with one line at most."""
    shutil.rmtree(place.folder / ".tongyeok" / "scratch" / "translator", ignore_errors=True)
    process = place.start(TRANSLATE, outputs="orphaned", together=True)
    deadline = time.monotonic() + 200
    while not scratch(place):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    everyone = psutil.Process(process.pid).children(recursive=True)
    (victim,) = (each for each in everyone if each.environ().get("RANK") == str(rank))
    victim.kill()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode
    assert f"rank      : {rank}" in printed, printed
    assert "Signal 9 (SIGKILL)" in printed, printed
    assert printed.count("tongyeok translator") <= rank, printed
    assert tracebacks(printed) == 0, printed
    assert running(everyone) == []
    assert not (place.folder / "orphaned").exists()


def test_an_error_of_the_first_alone_ends_all(place: Workplace) -> None:
    """Where the lock is held, only the first finds out: one message, no traceback, and the other does not wait."""
    home = place.folder / ".tongyeok" / "scratch" / "vocoder"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ("vocoder", *VOICES, "--params", "vocoder.yaml")
        process = place.start(words, outputs="locked", together=True)
        printed, _ = process.communicate(timeout=200)  # a process that went on would wait for 1,800 s
    assert process.returncode
    assert printed.count("tongyeok vocoder") == 1, printed
    assert "tongyeok vocoder: vocoder already runs in this checkout; wait for it or stop it\n" in printed
    assert tracebacks(printed) == 0, printed
    assert not (place.folder / "locked").exists()


def test_two_processes_train_the_hubert_of_one(place: Workplace) -> None:
    """Masks, crops, dropout and dropped layers are drawn by batch: equal losses, files equal but for rounding."""
    place.run(PRETRAIN, outputs="hubert-1", together=False)
    printed = place.run(PRETRAIN, outputs="hubert-2", together=True)
    assert "hubert: 2 processes, each 2 x 2 s of audio an update; effective batch 8 s of audio" in printed
    place.agree("hubert-1", "hubert-2", "train_loss", "valid_loss", "gradient_norm")
    one, two = (
        torch.load(place.folder / name / "checkpoint.pt", weights_only=False) for name in ("hubert-1", "hubert-2")
    )
    assert one["cfg"] == two["cfg"]
    assert set(one) == set(two)
    assert set(one["model"]) == set(two["model"])
    from fairseq import checkpoint_utils  # stock: the saved names are fairseq's own

    path = place.folder / "hubert-2" / "checkpoint.pt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        (model,), *_ = checkpoint_utils.load_model_ensemble_and_task([str(path)])
    assert type(model).__module__ == "fairseq.models.hubert.hubert"


def test_two_processes_train_the_recognizer_of_one(place: Workplace) -> None:
    """Frozen updates and dropped layers included: losses agree to their last digit, gradient norms to 1e-4 relative."""
    place.run(TUNE, outputs="recognizer-1", together=False)
    printed = place.run(TUNE, outputs="recognizer-2", together=True)
    assert "recognizer: 2 processes, each 1 x 8 s of audio an update; effective batch 16 s of audio" in printed
    place.agree("recognizer-1", "recognizer-2", "train_loss", "valid_loss")
    place.agree("recognizer-1", "recognizer-2", "gradient_norm", relative=1e-4)  # of 60 to 230: float32 has less
    names = [sorted(path.name for path in (place.folder / f"recognizer-{number}").iterdir()) for number in (1, 2)]
    assert names[0] == names[1]


@pytest.mark.parametrize("kind", ["vocoder", "hifigan"])
def test_two_processes_train_the_vocoder_of_one(place: Workplace, kind: str) -> None:
    """Each process takes every second segment of the same draw: losses agree to 1e-4 relative, discriminators' too."""
    words = ("vocoder", *VOICES, "--params", f"{kind}.yaml")
    place.run(words, outputs=f"{kind}-1", together=False)
    printed = place.run(words, outputs=f"{kind}-2", together=True)
    batch = {"vocoder": 4, "hifigan": 2}[kind]
    assert f"speech: 2 processes, each {batch // 2} segments an update; effective batch {batch} segments" in printed
    columns = ("loss", "mel_error") + (("opponent_loss",) if kind == "hifigan" else ())
    place.agree(f"{kind}-1", f"{kind}-2", *columns, digit=0, relative=1e-4)
    if kind == "vocoder":
        place.agree(f"{kind}-1", f"{kind}-2", "loss", table="duration_curves.csv", digit=0, relative=1e-4)
    one, two = (UnitVocoder.load(place.folder / f"{kind}-{number}") for number in (1, 2))
    assert one.cfg == two.cfg


def test_what_cannot_be_shared_is_refused(place: Workplace) -> None:
    """A batch that two processes cannot share is one error, which says what to do."""
    words = ("translator", "--bitext", "units/bitext", "--params", "single.yaml")
    process = place.start(words, outputs="never", together=True)
    printed, _ = process.communicate()
    assert process.returncode
    message = (
        "tongyeok translator: translator: 2 processes cannot share the 1 x 100 tokens of an update equally; expected a "
        "number of processes that divides 1; start so many, or take `tongyeok params "
        "translator.optimisation.tokens_per_batch=50 translator.optimisation.batches_per_update=2`"
    )
    assert printed.count(message) == 1, printed
    assert printed.count("cannot share") == 1
    assert not (place.folder / "never").exists()


def test_the_variable_starts_torchrun(place: Workplace, translators: str) -> None:
    """With TONGYEOK_LAUNCH the plain command, which `dvc repro` calls, gives itself over to torchrun."""
    assert translators
    launch = " ".join((sys.executable, *TOGETHER))
    printed = place.run(TRANSLATE, outputs="launched", together=False, TONGYEOK_LAUNCH=launch)
    assert "translator: 2 processes" in printed
    place.agree("translator-2", "launched", "train_loss", digit=1e-9)
