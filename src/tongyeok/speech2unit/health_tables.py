"""Unit health in figures: metrics, a printed table, and csv files for people and for DVC's plots."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tongyeok.base.files import write_text
from tongyeok.speech2unit.health_phones import Agreement
from tongyeok.speech2unit.health_plots import ranked_shares
from tongyeok.speech2unit.health_usage import Overlap, Tally, Usage, overlap

ALL = "all"  # the name of all languages together


def as_metrics(figures: Mapping[str, Usage], purities: Mapping[str, Agreement]) -> dict[str, float]:
    """The stage's metrics: the figures that one watches, by language."""
    metrics = {}
    for lang, found in figures.items():
        for name in ("used", "perplexity", "top10_share", "mean_longest_run", "units_per_second"):
            metrics[f"{lang}/{name}"] = float(getattr(found, name))
        if lang in purities:
            metrics |= {f"{lang}/{name}": value for name, value in asdict(purities[lang]).items()}
    return metrics


def table(figures: Mapping[str, Usage], purities: Mapping[str, Agreement], *, clusters: int) -> str:
    """A table to print, one line a language."""
    usages = (
        f"{'units':<8}{f'used/{clusters}':>10}{'entropy':>9}{'perplex.':>10}{'top 10':>8}{'longest':>9}{'mean l.':>9}"
    )
    lines = [usages + f"{'units/s':>9}{'phone p.':>10}{'clust. p.':>11}{'PNMI':>7}"]
    for lang, found in figures.items():
        line = (
            f"{lang:<8}{found.used:>10}{found.entropy:>9.2f}{found.perplexity:>10.1f}{found.top10_share:>8.1%}"
            f"{found.longest_run:>9}{found.mean_longest_run:>9.1f}{found.units_per_second:>9.1f}"
        )
        if lang in purities:
            agreed = purities[lang]
            line += f"{agreed.phone_purity:>10.3f}{agreed.cluster_purity:>11.3f}{agreed.pnmi:>7.3f}"
        lines.append(line)
    return "\n".join(lines)


def pairs(tallies: Mapping[str, Tally]) -> dict[tuple[str, str], Overlap]:
    """What every two languages share."""
    names = list(tallies)
    return {
        (first, second): overlap(tallies[first].frames, tallies[second].frames)
        for place, first in enumerate(names)
        for second in names[place + 1 :]
    }


def write_tables(
    outputs: Path, figures: Mapping[str, Usage], purities: Mapping[str, Agreement], tallies: Mapping[str, Tally]
) -> None:
    """Write languages.csv, overlap.csv, and for DVC's plots ranks/<lang>.csv and runs/<lang>.csv."""
    nothing = dict.fromkeys(Agreement.__dataclass_fields__, "")
    rows = [
        {"lang": lang, **asdict(found), **(asdict(purities[lang]) if lang in purities else nothing)}
        for lang, found in figures.items()
    ]
    _write_csv(outputs / "languages.csv", rows)
    shared = [{"first": first, "second": second, **asdict(found)} for (first, second), found in pairs(tallies).items()]
    if shared:
        _write_csv(outputs / "overlap.csv", shared)
    for lang, counts in tallies.items():
        shares = ranked_shares(counts)
        ranks = [{"rank": rank, "share": float(share)} for rank, share in enumerate(shares, start=1)]
        _write_csv(outputs / "ranks" / f"{lang}.csv", ranks)
        runs = [{"frames": length, "runs": int(count)} for length, count in enumerate(counts.runs[1:], start=1)]
        _write_csv(outputs / "runs" / f"{lang}.csv", runs)


def _write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    lines = [",".join(rows[0])]
    lines += [
        ",".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.values()) for row in rows
    ]
    write_text(path, "\n".join(lines) + "\n")
