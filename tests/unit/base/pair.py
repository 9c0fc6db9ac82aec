"""Two processes that meet by gloo, without torchrun; each does what a function here says, and writes what it found."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tongyeok.base.launch import launched
from tongyeok.base.manifests import read_manifest
from tongyeok.base.team import Team, here, joined
from tongyeok.base.units import read_languages
from tongyeok.base.utterances import read_utterances
from tongyeok.config import build
from tongyeok.errors import TongyeokError, TrainingError
from tongyeok.unit2speech import vocoder
from tongyeok.unit2speech.clips import Material, Recordings, make_clips
from tongyeok.unit2speech.synthesis import build_generator
from tongyeok.unit2speech.training import Player, Schedule
from unit.unit2speech import toy_voices

TESTS = Path(__file__).resolve().parents[2]
LIMIT_S = 300  # for both to start, on a busy machine; a process that waits for one that has ended waits for 1,800
STILL = Schedule(
    updates=1, learning_rate=0.0, warmup_updates=0, weight_decay=0.0, clip_norm=None, validate_every=1, save_every=1,
    seed=1,
)  # fmt: skip
LANGUAGES = ("en", "ko")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a process ended, and what it said."""

    status: int
    said: str


def run(function: str, folder: Path, *, variables: Sequence[Mapping[str, str]] = ({}, {})) -> list[Ended]:
    """Let both processes do `function`, each with variables of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    path = os.pathsep.join([str(TESTS.with_name("src")), str(TESTS)])
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "unit.base.pair", function, str(folder)],
            env={**os.environ, "PYTHONPATH": path, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank), **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, own in enumerate(variables)
    ]
    try:
        said = [process.communicate(timeout=LIMIT_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [Ended(status=process.returncode, said=words) for process, words in zip(processes, said, strict=True)]


def gradients(voices: Path) -> dict[str, torch.Tensor]:
    """Gradients of the vocoder's first updates, of its speech and of its durations; in a team, averaged."""
    values = toy_voices.CFG | {
        "products": "float32",
        "generator": toy_voices.CFG["generator"] | {"duration_dropout": 0.0},
    }  # type: ignore[operator]
    cfg = build(vocoder.VocoderConfig, values, where="vocoder")
    language_of = {row.utt: row.lang for row in read_utterances(voices / "corpus")}
    manifest = read_manifest(voices / "manifest", "train")
    source, units = read_languages(voices / "units", LANGUAGES)
    clips = make_clips(manifest, units=units, language_of=language_of, languages=LANGUAGES)
    dvectors = np.random.default_rng(1).standard_normal((len(clips), 256), dtype=np.float32)
    material = Material(clips=tuple(clips), dvectors=dvectors, recordings=Recordings(manifest.root))
    generator = build_generator(cfg.generator, clusters=source.clusters, languages=len(LANGUAGES), seed=1)
    found = {}
    for task in (
        vocoder.speech_task(cfg, generator, training=material, heard=material),
        vocoder.duration_task(cfg, generator, train=clips, valid=clips),
    ):
        Player(task.module, task.loss, STILL, here(), partly=task.partly).update(0, name=task.name)
        for name, parameter in task.module.named_parameters():
            if parameter.grad is not None:
                found[f"{task.name}: {name}"] = parameter.grad.clone()
    return found


def write_gradients(team: Team, folder: Path) -> None:
    """Leave them in the folder."""
    torch.save(gradients(folder), folder / f"{team.rank}.pt")


def leader_fails(team: Team, _folder: Path) -> None:
    """The leader alone meets an error, while the other waits for it."""
    if team.leads:
        raise TrainingError("the leader's own")
    team.any([True])


def follower_dies(team: Team, _folder: Path) -> None:
    """The other is killed, while the leader waits for it."""
    if not team.leads:
        os.kill(os.getpid(), signal.SIGKILL)
    team.any([True])


def see_different_states(team: Team, folder: Path) -> None:
    """The leader sees the state of update 0, the other that of update 1."""
    team.expect_alike(team.rank, folder / "state.pt")
    team.any([True])


def main(function: str, folder: Path) -> int:
    """Meet, do it, and tell errors as the command does."""
    try:
        with joined(launched()) as team:
            globals()[function](team, folder)
    except TongyeokError as error:
        print(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
