"""Where workers run."""

import os
from typing import Any

import pytest

from tongyeok import config
from tongyeok.tuning import placement
from tongyeok.tuning.space import Space
from unit.tuning import world


def test_workers_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they have no more threads than there are cores, none has more than the parameters say; GPUs in turn."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: range(16))
    places = placement.share_out(4, threads=8, gpus=["5", "7"])
    assert [place.threads for place in places] == [4] * 4
    assert [place.gpu for place in places] == ["5", "7", "5", "7"]
    assert [place.threads for place in placement.share_out(1, threads=2, gpus=[])] == [2]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: range(2))
    assert [place.threads for place in placement.share_out(3, threads=2, gpus=[])] == [1] * 3


def test_the_environment_stands_before_torch_is_imported() -> None:
    """Threads and the GPU are variables of the new process, not settings of a running one."""
    place = placement.Place(name="0", threads=3, gpu="6")
    made = place.environment({"HOME": "/h", "CUDA_VISIBLE_DEVICES": "5,6", "OMP_NUM_THREADS": "9"})
    assert made["CUDA_VISIBLE_DEVICES"] == "6"
    assert {made[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")} == {"3"}
    bare = placement.Place(name="0", threads=3, gpu=None)
    assert "CUDA_VISIBLE_DEVICES" not in bare.environment({})


def test_memory_is_counted() -> None:
    """Workers that may need more memory than is free, by the latest training of what they train, are warned of."""
    rows = [
        {"stage": "vocoder", "peak_mib": 9000},
        {"stage": "vocoder", "peak_mib": 800},
        {"stage": "hubert@1", "peak_mib": 1000},
        {"stage": "evaluate", "peak_mib": 5000},
    ]
    assert placement.shortage(2, {"vocoder"}, rows, available_mib=1600) is None
    assert placement.shortage(9, {"translator"}, rows, available_mib=1) is None
    told = placement.shortage(2, {"vocoder", "hubert"}, rows, available_mib=1600)
    assert told is not None
    assert told.startswith("memory: 2 workers may take 2000 MiB, 1000 each")
    assert told.endswith("1600 are free; give fewer --workers")


@pytest.mark.parametrize(
    ("values", "changes", "stages"),
    [
        (world.TRANSLATOR_SPACE, {}, {"translator"}),
        (world.UNIT_SPACE, {}, {"vocoder"}),
        (world.UNIT_SPACE, {"figures": ["asr_bleu"]}, {"vocoder", "translator"}),
        (world.UNIT_SPACE, {"dimensions": {"kmeans.0.clusters": {"low": 1, "high": 9}}}, {"vocoder", "hubert"}),
    ],
)
def test_what_trials_train(values: dict[str, Any], changes: dict[str, Any], stages: set[str]) -> None:
    """The stages whose memory counts follow from kind, figures and dimensions."""
    assert placement.trained(config.build(Space, {**values, **changes}, where="s"), last="1") == stages


def test_a_worker_is_a_command() -> None:
    """Anything that starts processes can place one."""
    place = placement.Place(name="0", threads=3, gpu=None)
    words = placement.command(place, ["--study", "s", "--storage", "postgresql://h/d"])
    assert words[1:] == [
        *("-m", "tongyeok", "tune", "worker", "--name", "0", "--threads", "3"),
        *("--study", "s", "--storage", "postgresql://h/d"),
    ]
