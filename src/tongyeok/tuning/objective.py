"""One trial: draw settings, make what they change, judge it, and note enough to repeat it."""

import dataclasses
import json
import os
import socket
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml

from tongyeok import runs
from tongyeok.base.files import write_json, write_text
from tongyeok.errors import ConfigError, TrainingError, UnitError
from tongyeok.runs import StageRun, provenance
from tongyeok.tuning import judge, settings
from tongyeok.tuning.figures import FIGURES
from tongyeok.tuning.pieces import GivenUpError, Pieces
from tongyeok.tuning.space import look_up
from tongyeok.tuning.study import ATTEMPT, FIRST, Opened
from tongyeok.tuning.trial_flow import Given, TrialFlow

WATCHED = {  # kind of study -> stage, figure of its validation and the setting that says how long it trains
    "units": ("vocoder", "speech/mel_error", "vocoder.updates"),
    "translator": ("translator", "valid/nll_loss", settings.UPDATES),  # not the loss, which label smoothing changes
}
GRAIN = 5  # percent of a training that running losses are compared at


class Objective:
    """What a worker calls for every trial.

    Args:
        opened: the study.
        given: outputs of the project's flow.
        folder: of the study on this machine.
        pieces: folder of what trials make.
        threads: of each stage.
    """

    def __init__(self, opened: Opened, *, given: Given, folder: Path, pieces: Path, threads: int) -> None:
        self._opened, self._given, self._folder = opened, given, folder
        self._pieces, self._threads = pieces, threads

    def __call__(self, trial: optuna.Trial) -> float | Sequence[float]:
        """The trial's figures, in the order of the space.

        Raises:
            TrialPruned: it was given up.
            TongyeokError: it could not be made, for a reason that is not its settings'.
        """
        started = time.time()
        plan = self._opened.plan
        first = bool(trial.user_attrs.get(FIRST))
        trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
        trial.set_user_attr(ATTEMPT, trial.number)
        trial.set_user_attr("threads", self._threads)
        drawn = {
            name: dimension.suggest(trial, name)
            for name, dimension in plan.space.resolved(plan.params["flow"]["last"]).items()
        }
        if first:  # to the last digit, whatever a drawn number would be rounded to
            drawn = {name: look_up(plan.params, name) for name in drawn}
        chosen = settings.to_promote(plan.params, drawn)
        params = settings.of_trial(plan.space, plan.params, chosen)
        trial.set_user_attr("settings", chosen)
        folder = self._folder / "trials" / str(trial.number)
        facts = {
            "study": self._opened.study.study_name,
            "trial": trial.number,
            "settings": chosen,
            "space": dataclasses.asdict(plan.space),
            "inputs": dict(plan.inputs),
            "threads": self._threads,
            "git": provenance.git_tags(),
        }
        write_text(folder / "params.yaml", yaml.safe_dump(params, sort_keys=False, allow_unicode=True))
        write_json(folder / "trial.json", facts)
        with runs.tuning_run(
            run=provenance.unique(),
            name=f"{self._opened.study.study_name} {trial.number}",
            params=chosen,
            tags={"stage": f"tune {plan.space.kind}", "trial": str(trial.number)},
            inputs=plan.inputs,
            folder=folder / f"tracking-{os.getpid()}",
            study=(plan.run, self._opened.study.study_name),
        ) as run:
            taken, given_up = self._judge(trial, params, run, first=first)
            trial.set_user_attr("figures", taken)
            trial.set_user_attr("minutes", (time.time() - started) / 60)
            write_json(folder / "metrics.json", taken)
            run.finish({**taken, "pruned": float(given_up is not None)}, folder, [])
        if given_up is not None:
            trial.set_user_attr("given up", given_up)
            raise optuna.TrialPruned(given_up)
        values = [taken[name] for name in plan.space.figures]
        return values[0] if len(values) == 1 else values

    def _judge(
        self, trial: optuna.Trial, params: Mapping[str, Any], run: StageRun, *, first: bool
    ) -> tuple[dict[str, float], str | None]:
        """The figures taken, and why the trial was given up, if it was; the settings in force never are."""
        space = self._opened.plan.space
        compared = len(space.figures) == 1 and space.pruning.startup_trials is not None
        sign = FIGURES[space.figures[0]].sign if compared else None
        watch = _Watch(trial, params, run, kind=space.kind, sign=sign, prunes=not first)
        pieces = Pieces(self._pieces, threads=self._threads, watch=watch)
        flow = TrialFlow(params, space=space, given=self._given, pieces=pieces)
        taken: dict[str, float] = {}
        try:
            if space.kind == "units":
                taken |= self._signals(flow, first=first)
            for figure in space.figures:
                taken |= judge.take(figure, flow, languages=space.languages)
        except (ConfigError, TrainingError, UnitError, GivenUpError) as error:
            if watch.failure is not None:
                raise watch.failure from None
            if first or _of_the_machine(error.__cause__):
                raise
            return taken, str(error)
        return taken, None

    def _signals(self, flow: TrialFlow, *, first: bool) -> dict[str, float]:
        """Cheap signs of bad units, before anything is trained on them.

        Raises:
            UnitError: they collapsed.
            GivenUpError: they tell much less of phones than those of the settings in force.
        """
        health = json.loads((flow.unit_health() / "metrics.json").read_text(encoding="utf-8"))
        shares = [value for name, value in health.items() if name.endswith("/pnmi")]
        found = {"health/units_per_second": health["all/units_per_second"]}
        if not shares:
            return found
        found["health/pnmi"] = sum(shares) / len(shares)
        least, before = self._opened.plan.space.pruning.pnmi_share, self._opened.first
        if least is not None and not first and before is not None:
            needed = least * before.user_attrs["figures"]["health/pnmi"]
            if found["health/pnmi"] < needed:
                raise GivenUpError(
                    f"PNMI {found['health/pnmi']:.3f} is below {needed:.3f}, {least:g} of the first trial's"
                )
        return found


def _of_the_machine(cause: BaseException | None) -> bool:
    """Whether a training crashed for want of disk or memory, which its settings did not bring about."""
    # What torch.save makes of a full disk names a line of its archive writer, not the disk.
    return isinstance(cause, OSError | MemoryError) or "inline_container" in str(cause)


class _Watch:
    """Hears the curves of a trial's trainings: passes them on, and lets the pruner compare those that can be compared.

    The pruner takes losses as the study's figure goes: with `sign` -1 where more is better; None compares nothing.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        params: Mapping[str, Any],
        run: StageRun,
        *,
        kind: str,
        sign: int | None,
        prunes: bool,
    ) -> None:
        self._trial, self._run, self._sign, self._prunes = trial, run, sign, prunes
        self.failure: Exception | None = None
        self._stage, self._figure, length = WATCHED[kind]
        section, *parts = length.split(".")
        updates: Any = params[section]
        for part in parts:
            updates = updates[part]
        self._updates = int(updates)

    def __call__(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Take one point of a stage's curves.

        Raises:
            GivenUpError: the median of the trials before was better at this point.
        """
        self._run.on_metrics(step, {f"{stage}/{name}": value for name, value in values.items()})
        if self._sign is None or stage != self._stage or self._figure not in values:
            return
        percent = GRAIN * round(100 * step / self._updates / GRAIN)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a training that was resumed tells some points again
            worse = self._compare(self._sign * values[self._figure], percent)
        if worse:
            raise GivenUpError(
                f"{stage}: {self._figure} {values[self._figure]:.3f} at {percent} % is worse than the median"
            )

    def _compare(self, loss: float, percent: int) -> bool:
        """Tell the pruner, and ask it where this trial may be given up.

        What goes wrong with the database is kept, since the training that calls this would report it as its own crash.
        """
        try:
            self._trial.report(loss, percent)
            return self._prunes and self._trial.should_prune()
        except Exception as error:
            self.failure = error
            raise
