"""What a process has of its machine."""

import pytest
import torch

from tongyeok.runtime import visible_gpus


@pytest.mark.parametrize(("named", "expected"), [("", ("0", "1")), ("3", ("3",)), ("5, GPU-8a1, 7", ("5", "GPU-8a1"))])
def test_gpus_are_called_what_the_variable_calls_them(
    named: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was given some GPUs hands out those, by the names that its children need."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(expected))
    assert visible_gpus() == expected


def test_a_name_without_a_gpu_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch does not find is not handed out, whatever the variable says."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert visible_gpus() == ()
