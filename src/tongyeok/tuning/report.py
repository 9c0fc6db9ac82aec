"""What a study found: a table of its trials, and pictures of history, importance and parallel coordinates."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from tongyeok.base.files import write_json, write_text
from tongyeok.tuning.figures import FIGURES
from tongyeok.tuning.study import ATTEMPT, FINISHED, FIRST, Opened, best

FEWEST = 2  # finished trials that a picture can be drawn of
DPI = 120
INCHES = 1.2  # between two axes


def write(opened: Opened, folder: Path) -> str:
    """Write `report.md`, `metrics.json`, `trials.json` and `plots/`, and return the text of the report.

    Nothing in them needs a network to be looked at.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw(opened, folder / "plots")
    text = markdown(opened, pictures=pictures)
    write_text(folder / "report.md", text)
    write_json(folder / "metrics.json", metrics(opened))
    write_text(folder / "trials.json", json.dumps([_public(trial) for trial in opened.trials()], indent=2) + "\n")
    return text


def metrics(opened: Opened) -> dict[str, float]:
    """How many trials ended how, the best figures, and those of the settings in force."""
    counts = {state.name.lower(): float(len(opened.trials(state))) for state in TrialState}
    found = {f"trials/{name}": count for name, count in counts.items() if count}
    chosen = best(opened)
    if len(chosen) == 1:
        found |= dict(zip(opened.plan.space.figures, chosen[0].values, strict=True))
    if opened.first is not None:
        named = zip(opened.plan.space.figures, opened.first.values, strict=True)
        found |= {f"in_force/{name}": value for name, value in named}
    return found


def markdown(opened: Opened, *, pictures: Sequence[str]) -> str:
    """The report: what was judged, the trials in order, the best, and what the settings in force gave."""
    space = opened.plan.space
    trials = opened.trials()
    chosen = [trial.number for trial in best(opened)]
    counts = [f"{len(opened.trials(state))} {state.name.lower()}" for state in TrialState if opened.trials(state)]
    names = sorted({name for trial in trials for name in trial.params})
    lines = [f"# Study {opened.study.study_name}", ""]
    lines += [f"- {name}: {FIGURES[name].meaning}; {FIGURES[name].direction}d" for name in space.figures]
    lines += [f"- trials: {', '.join(counts)}", f"- {_verdict(opened)}"]
    threads = sorted({trial.user_attrs["threads"] for trial in opened.trials(*FINISHED)})
    if len(threads) > 1:
        numbers = " and ".join(map(str, threads))
        lines.append(f"- trials ran with {numbers} threads, on which last bits and speed depend: mistrust small gains")
    lines.append("")
    lines += [f"![{name}](plots/{name}.png)" for name in pictures]
    headings = ["trial", "", *space.figures, *_short(names), "min"]
    lines += ["", f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for trial in trials:
        marks = [
            *(["**best**"] if trial.number in chosen else []),
            *(["in force"] if trial.user_attrs.get(FIRST) else []),
            *([trial.state.name.lower()] if trial.state != TrialState.COMPLETE else []),
            *([f"{trial.system_attrs['failed_trial']} again"] if "failed_trial" in trial.system_attrs else []),
        ]
        values = trial.values if trial.state == TrialState.COMPLETE else [None] * len(space.figures)
        cells = [str(trial.number), ", ".join(marks), *map(_number, values)]
        cells += [_number(trial.params.get(name)) for name in names]
        minutes = trial.user_attrs.get("minutes") if trial.state.is_finished() else None
        lines.append(f"| {' | '.join([*cells, '-' if minutes is None else f'{minutes:.1f}'])} |")
    given_up = [(trial.number, trial.user_attrs["given up"]) for trial in opened.trials(TrialState.PRUNED)]
    if given_up:
        lines += ["", "Given up:", "", *(f"- {number}: {_first_line(why)}" for number, why in given_up)]
    return "\n".join([*lines, ""])


def draw(opened: Opened, folder: Path) -> list[str]:
    """Draw what can be drawn of the trials that there are, and return the names of the pictures."""
    finished = opened.trials(TrialState.COMPLETE)
    if len(finished) < FEWEST:
        return []
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  after the choice of what draws
    from optuna.visualization import matplotlib as plots  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    names = []
    varied = {name for trial in finished for name in trial.params if trial.params[name] != finished[0].params.get(name)}
    space = opened.plan.space
    several = len(space.figures) > 1

    def save(name: str, plot: Any, **options: Any) -> None:  # noqa: ANN401  Optuna's functions differ
        with warnings.catch_warnings(), plt.rc_context():
            warnings.simplefilter("ignore", ExperimentalWarning)
            warnings.simplefilter("ignore", UserWarning)  # of labels and tick marks
            axes = plot(opened.study, **options)
            if plot is plots.plot_parallel_coordinate:  # Optuna cuts the names, and draws as wide as ever
                axes.set_xticklabels([options["target_name"], *_short(options["params"])], rotation=20)
                plt.gcf().set_size_inches(INCHES * (2 + len(options["params"])), 5)
            plt.gcf().savefig(folder / f"{name}.png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
            plt.close("all")
        names.append(name)

    for place, figure in enumerate(space.figures):
        end = f"_{figure}" if several else ""

        def target(trial: FrozenTrial, place: int = place) -> float:
            return float(trial.values[place])

        told = {"target": target if several else None, "target_name": figure}
        save(f"history{end}", plots.plot_optimization_history, **told)
        if varied:
            save(f"parallel{end}", plots.plot_parallel_coordinate, params=sorted(varied), **told)
        if varied and len({target(trial) for trial in finished}) > 1:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=space.seed)
            save(f"importance{end}", plots.plot_param_importances, evaluator=evaluator, **told)
    if len(space.figures) == 2:  # noqa: PLR2004  a plane
        save("pareto", plots.plot_pareto_front, target_names=list(space.figures))
    return names


def _verdict(opened: Opened) -> str:
    space, chosen, first = opened.plan.space, best(opened), opened.first
    if not chosen or first is None:
        return "the settings in force have not been judged yet"
    if len(chosen) > 1 or len(space.figures) > 1:
        numbers = ", ".join(str(trial.number) for trial in chosen)
        return f"no trial beats these in all figures: {numbers}"
    figure, now, then = space.figures[0], chosen[0].values[0], first.values[0]
    if chosen[0].number == first.number:
        return f"nothing beat the settings in force, whose {figure} is {then:.4g}"
    return f"trial {chosen[0].number}: {figure} {now:.4g}, where the settings in force have {then:.4g}"


def _public(trial: FrozenTrial) -> Mapping[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial.values if trial.state == TrialState.COMPLETE else None,
        "params": trial.params,
        "retry_of": trial.system_attrs.get("failed_trial"),
        # without the names of machines
        **{name: value for name, value in trial.user_attrs.items() if name not in {"worker", ATTEMPT}},
    }


def _short(names: Sequence[str]) -> list[str]:
    """Settings by their last word, where no other one has the same."""
    last = [name.rpartition(".")[2] for name in names]
    return [word if last.count(word) == 1 else name for word, name in zip(last, names, strict=True)]


def _number(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _first_line(text: str) -> str:
    return " ".join(text.split())[:200]
