"""Hear every figure that fairseq's trainer reports, and show people one progress bar.

`fairseq_cli.train` looks `progress_bar.progress_bar` up at call time, so that a rebound function sees all statistics.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from typing import Any

import torch
from fairseq.logging import progress_bar
from fairseq.logging.meters import AverageMeter, StopwatchMeter, TimeMeter
from tqdm import tqdm

from tongyeok.base.stage import OnMetrics

CLOCKS = {"wall", "train_wall", "ups", "wps", "gb_free"}  # differ from run to run: never part of a curve
DULL = {"ntokens", "nsentences", "num_updates", "epoch", "wpb", "bsz"}


class Recorder:
    """Keeps the curves of a run and passes them on as they come.

    `rows` is a list of mappings with `step` and names such as `train/loss` and `valid/loss`; it travels inside the
    checkpoint, so that a resumed run has the same curves as an uninterrupted one. Clock figures are passed on only.
    """

    def __init__(self, on_metrics: OnMetrics, *, name: str, updates: int, shown: bool) -> None:
        """Record for a run called `name` of `updates` updates, with its bar `shown` where there is a terminal."""
        self.rows: list[dict[str, float]] = []
        self._on_metrics = on_metrics
        self._bar = tqdm(total=updates, desc=name, unit="update", disable=None if shown else True, leave=False)

    def advance(self, step: int) -> None:
        """Move the bar to `step` finished updates."""
        self._bar.update(step - self._bar.n)

    def record(self, part: str, stats: Mapping[str, Any], *, step: int) -> None:
        """Take fairseq's statistics of one interval (`part` = `train`) or of one validation (`part` = subset)."""
        values = {f"{part}/{key}": number for key, value in stats.items() if (number := plain(value)) is not None}
        values = {key: value for key, value in values.items() if key.partition("/")[2] not in DULL}
        lasting = {key: value for key, value in values.items() if key.partition("/")[2] not in CLOCKS}
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1].update(lasting)
        else:
            self.rows.append({"step": step, **lasting})
        if f"{part}/loss" in values:
            self._bar.set_postfix({f"{part}/loss": f"{values[f'{part}/loss']:.3f}"}, refresh=False)
        self._on_metrics(step, values)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


class RecordingBar(progress_bar.BaseProgressBar):  # type: ignore[misc]
    """What fairseq takes for a progress bar: it only forwards statistics to the recorder."""

    def __init__(self, iterable: Any, recorder: Recorder) -> None:  # noqa: ANN401
        """Wrap one epoch's or one validation's iterator."""
        super().__init__(iterable)
        self._recorder = recorder

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches unchanged."""
        yield from self.iterable

    def log(self, stats: Mapping[str, Any], tag: str | None = None, step: int | None = None) -> None:
        """Statistics since the last call (`tag` is `train_inner`)."""
        if tag == "train_inner" and step is not None:
            self._recorder.record("train", stats, step=step)

    def print(self, stats: Mapping[str, Any], tag: str | None = None, step: int | None = None) -> None:
        """Statistics of a validation; those of a whole epoch (`tag` is `train`) repeat what `log` said."""
        if tag != "train" and tag is not None and step is not None:
            self._recorder.record(tag, stats, step=step)


@contextmanager
def heard_by(recorder: Recorder) -> Iterator[None]:
    """Let `recorder` hear everything that fairseq reports inside this context."""
    original = progress_bar.progress_bar
    progress_bar.progress_bar = lambda iterator, **_options: RecordingBar(iterator, recorder)
    try:
        yield
    finally:
        progress_bar.progress_bar = original
        recorder.close()


def plain(value: object) -> float | None:
    """A meter, tensor or number as a float; None for anything else."""
    if isinstance(value, StopwatchMeter):
        value = value.sum
    elif isinstance(value, AverageMeter | TimeMeter):
        value = value.avg
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return float(value) if isinstance(value, Number) and not isinstance(value, bool | complex) else None
