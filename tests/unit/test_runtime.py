"""What a process has of its machine."""

import pytest

from tongyeok.runtime import visible_gpus


@pytest.mark.parametrize(("named", "expected"), [("", ()), ("-1", ()), ("3", ("3",)), ("5, GPU-8a1", ("5", "GPU-8a1"))])
def test_gpus_are_called_what_the_variable_calls_them(
    named: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was given some GPUs hands out those, by the names that its children need."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected
