"""Units of several origins at equal K: how they agree with phones, and what is heard in speech rebuilt from them.

The first contender is the baseline, units of MFCC; the others are units of HuBERT after so many updates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tongyeok.base.error_rates import wer
from tongyeok.base.files import write_json, write_text
from tongyeok.base.units import read_units
from tongyeok.evaluation import metrics
from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.resynthesis_scores import Heard, LanguageScores, resampled_wer
from tongyeok.speech2unit.health_phones import Alignment, agreement, phone_table
from tongyeok.speech2unit.health_usage import tally, usage

NAME = "compare_units"
HEADINGS = (
    *("units", "its training, min", "language", "units a second", "phone purity", "PNMI", "mel error"),
    *("WER %", "95 % interval", "less MFCC's", "95 % interval", "CER %"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One origin of units.

    `name` is its folder's; `hubert` and its `updates` are None for MFCC; `minutes` that they took are None where nobody
    noted them; `smoothing` counts passes over the features' time before clustering.
    """

    name: str
    hubert: Path | None
    updates: int | None
    minutes: float | None
    smoothing: int

    @property
    def title(self) -> str:
        """What tables call it."""
        return "MFCC" if self.updates is None else f"HuBERT, {self.updates:,} updates"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitFigures:
    """Units of one language; shares of phones are None where the corpus knows no phones."""

    used: int
    units_per_second: float
    phone_purity: float | None
    pnmi: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One contender in one language; `less_mfcc`: its WER less the baseline's in points, None for the baseline."""

    contender: Contender
    lang: str
    units: UnitFigures
    mel_error: float  # log-mel L1 of the vocoder's last validation, all languages
    speech: LanguageScores
    less_mfcc: Score | None


def unit_figures(
    units: Path, alignments: Mapping[str, Alignment], *, languages: Sequence[str]
) -> dict[str, UnitFigures]:
    """How each language uses the units of all its utterances, and how these agree with phones."""
    found = {}
    for lang in languages:
        source, sequences = read_units(units / f"{lang}.tsv")
        used = usage(tally(sequences.values(), clusters=source.clusters))
        table = phone_table(sequences, alignments, clusters=source.clusters)
        agreed = None if table is None else agreement(table)
        found[lang] = UnitFigures(
            used=used.used,
            units_per_second=used.units_per_second,
            phone_purity=agreed.phone_purity if agreed else None,
            pnmi=agreed.pnmi if agreed else None,
        )
    return found


def less(ours: Sequence[Heard], baseline: Sequence[Heard], *, resamples: int, seed: int) -> Score:
    """WER of our resynthesis less the baseline's, in percent points, with a 95 % bootstrap interval.

    Both are of the same utterances in the same order; a resample draws sentence groups for both at once, so that
    hard sentences do not widen the interval.
    """
    texts, groups = [row.text for row in ours], [row.group for row in ours]
    picks = metrics.pick(len(set(groups)), resamples=resamples, seed=seed)
    mine, theirs = ([row.resynthesised for row in heard] for heard in (ours, baseline))
    resampled = [resampled_wer(said, texts, groups, picks) for said in (mine, theirs)]
    return metrics.interval(wer(mine, texts) - wer(theirs, texts), resampled[0] - resampled[1])


def write(folder: Path, rows: Sequence[Row], *, method: Sequence[str]) -> None:
    """Write `compare_units.json` (intervals as value, low, high), `compare_units.md` and `compare_units.png`."""
    origin = ("name", "updates", "minutes", "smoothing")  # not `hubert`, a path of this machine
    public = [{**asdict(row), "contender": {name: getattr(row.contender, name) for name in origin}} for row in rows]
    write_json(folder / f"{NAME}.json", {"method": list(method), "rows": public})
    write_text(folder / f"{NAME}.md", markdown(rows, method=method))
    draw(folder / f"{NAME}.png", rows)


def markdown(rows: Sequence[Row], *, method: Sequence[str]) -> str:
    """The rows as a table, and how they were made."""
    lines = ["# Units at equal K", "", *(f"- {line}" for line in method), "", f"![figures]({NAME}.png)", ""]
    lines += [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    originals = {row.lang: row.speech.wer_original.value for row in rows}
    said = ", ".join(f"{lang} {error:.1f} %" for lang, error in originals.items())
    return "\n".join([*lines, "", f"WER of the original recordings: {said}.", ""])


def _cells(row: Row) -> list[str]:
    def number(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    def span(score: Score | None) -> str:
        return "-" if score is None else f"{score.low:.1f} to {score.high:.1f}"

    error = row.speech.wer_resynthesised
    return [
        *(row.contender.title, number(row.contender.minutes, 1), row.lang, number(row.units.units_per_second, 1)),
        *(number(row.units.phone_purity, 3), number(row.units.pnmi, 3), number(row.mel_error, 3)),
        *(f"{error.value:.1f}", span(error), "-" if row.less_mfcc is None else f"{row.less_mfcc.value:+.1f}"),
        *(span(row.less_mfcc), f"{row.speech.cer_resynthesised:.1f}"),
    ]


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Draw word errors and agreement with phones over HuBERT's updates; MFCC's are horizontal lines."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    errors, purity, pnmi = figure.subplots(1, 3)
    for place, lang in enumerate(dict.fromkeys(row.lang for row in rows)):
        colour = f"C{place}"
        own = [row for row in rows if row.lang == lang]
        _over_updates(errors, own, [row.speech.wer_resynthesised for row in own], lang=lang, colour=colour)
        errors.axhline(own[0].speech.wer_original.value, color=colour, linestyle=":", label=f"{lang}, original")
        for axes, name in ((purity, "phone_purity"), (pnmi, "pnmi")):
            shares = [getattr(row.units, name) for row in own]
            if None not in shares:
                points = [Score(value=share, low=share, high=share) for share in shares]
                _over_updates(axes, own, points, lang=lang, colour=colour)
    for axes, title in ((errors, "WER of resynthesis, %"), (purity, "phone purity"), (pnmi, "PNMI")):
        axes.set(title=title, xlabel="updates of HuBERT")
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _over_updates(axes: Axes, rows: Sequence[Row], scores: Sequence[Score], *, lang: str, colour: str) -> None:
    """Draw HuBERT's scores with their intervals over its updates, and a line at MFCC's, which come first."""
    axes.axhline(scores[0].value, color=colour, linestyle="--", label=f"{lang}, MFCC")
    axes.axhspan(scores[0].low, scores[0].high, color=colour, alpha=0.1, linewidth=0)
    points = sorted(
        (row.contender.updates or 0, point.value, max(0.0, point.value - point.low), max(0.0, point.high - point.value))
        for row, point in zip(rows[1:], scores[1:], strict=True)
    )
    if points:
        updates, values, below, above = zip(*points, strict=True)
        axes.errorbar(updates, values, [below, above], color=colour, marker="o", capsize=3, label=f"{lang}, HuBERT")
