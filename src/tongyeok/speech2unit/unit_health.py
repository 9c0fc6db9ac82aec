"""Stage `unit_health`: how each language uses the units; stops the pipeline where they collapsed.

Measured on the training and validation splits, never on test.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.files import write_json
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.units import Units, UnitSource, read_units, same_source
from tongyeok.base.utterances import read_utterances
from tongyeok.config import section
from tongyeok.errors import UnitError
from tongyeok.speech2unit import health_plots
from tongyeok.speech2unit.health_phones import Agreement, PhoneTable, agreement, phone_table, read_alignments
from tongyeok.speech2unit.health_tables import ALL, as_metrics, pairs, table, write_tables
from tongyeok.speech2unit.health_usage import Tally, Usage, merge, tally, usage

SPLITS = ("train", "valid")
PHONES = "phones.tsv"
REMEDIES = (
    "Remedies: clean recordings of more speakers; another HuBERT iteration, or more updates of this one (look at its "
    "masked accuracy); another layer or fewer `clusters` in `kmeans`; check that labels and dict.km.txt are not empty"
)


@section
class UnitHealthConfig:
    """Section `unit_health`: below or above these figures a language counts as collapsed.

    Seen at a collapse: Korean used 116 of 1,000 codes, three of them in 67 % of all frames.
    """

    min_used_share: float  # share of the codebook that a language uses
    max_top10_share: float  # share of frames of its ten most frequent units
    min_perplexity_share: float  # perplexity of its units, as a share of the codebook

    def __post_init__(self) -> None:
        """Check the rules."""
        for name in ("min_used_share", "max_top10_share", "min_perplexity_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a share between 0 and 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Corpus (which may know phones), manifest, and the unit files."""

    corpus: Path
    manifest: Path
    units: Path


def judge(cfg: UnitHealthConfig, figures: Mapping[str, Usage], *, clusters: int) -> None:
    """Refuse collapsed units.

    Raises:
        UnitError: a language breaks a threshold; all that do are named.
    """
    faults = []
    for lang, found in figures.items():
        if found.used_share < cfg.min_used_share:
            needed = math.ceil(cfg.min_used_share * clusters)
            faults.append(
                f"{lang}: uses {found.used} of {clusters} units, expected at least {needed} (min_used_share "
                f"{cfg.min_used_share})"
            )
        if found.top10_share > cfg.max_top10_share:
            faults.append(
                f"{lang}: its ten most frequent units take {found.top10_share:.1%} of all frames, expected at most "
                f"{cfg.max_top10_share:.1%} (max_top10_share)"
            )
        if found.perplexity_share < cfg.min_perplexity_share:
            least = cfg.min_perplexity_share * clusters
            faults.append(
                f"{lang}: perplexity {found.perplexity:.1f} of {clusters}, expected at least {least:.1f} "
                f"(min_perplexity_share {cfg.min_perplexity_share})"
            )
    if faults:
        raise UnitError("\n  ".join(["units collapsed:", *faults, REMEDIES]))


def run(cfg: UnitHealthConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:  # noqa: ARG001
    """Measure, print and plot the units of each language, and refuse collapsed ones."""
    source, languages = _read(inputs)
    tallies = {lang: tally(units.values(), clusters=source.clusters) for lang, units in languages.items()}
    figures = {lang: usage(counts) for lang, counts in tallies.items()}
    path = inputs.corpus / PHONES
    alignments = read_alignments(path) if path.is_file() else {}
    tables = {
        lang: counts
        for lang, units in languages.items()
        if (counts := phone_table(units, alignments, clusters=source.clusters)) is not None
    }
    purities = {lang: agreement(table) for lang, table in tables.items()}
    everything = {**figures, ALL: usage(merge(tallies.values()))}
    print(table(everything, purities, clusters=source.clusters))
    judge(cfg, figures, clusters=source.clusters)
    write_tables(outputs, everything, purities, tallies)
    _draw(outputs / "plots", tallies, tables, purities)
    metrics = as_metrics(everything, purities)
    write_json(outputs / "metrics.json", metrics)
    return metrics


def _read(inputs: Inputs) -> tuple[UnitSource, dict[str, dict[str, Units]]]:
    """The units of the measured splits, by language."""
    files = sorted(inputs.units.glob("*.tsv"))
    if not files:
        raise UnitError(f"{inputs.units}: no unit files; run the stage `units` first")
    read = {path.stem: read_units(path) for path in files}
    source = same_source({lang: found for lang, (found, _) in read.items()})
    units = {utt: sequence for _, sequences in read.values() for utt, sequence in sequences.items()}
    measured = {utt for split in SPLITS for utt in read_manifest(inputs.manifest, split).utts}
    languages: dict[str, dict[str, Units]] = {}
    for utterance in read_utterances(inputs.corpus):
        if utterance.utt not in measured:
            continue
        if utterance.utt not in units:
            raise UnitError(f"{inputs.units}: utterance {utterance.utt!r} has no units; rebuild `units`")
        languages.setdefault(utterance.lang, {})[utterance.utt] = units[utterance.utt]
    if not languages:
        raise UnitError(f"{inputs.manifest}: no utterances in {' and '.join(SPLITS)}; rebuild `manifest`")
    return source, dict(sorted(languages.items()))


def _draw(
    plots: Path,
    tallies: Mapping[str, Tally],
    tables: Mapping[str, PhoneTable],
    purities: Mapping[str, Agreement],
) -> None:
    health_plots.rank_frequency(plots / "rank_frequency.png", tallies)
    health_plots.run_histogram(plots / "run_lengths.png", tallies)
    names = list(tallies)
    divergence = np.zeros((len(names), len(names)))
    for (first, second), found in pairs(tallies).items():
        row, column = names.index(first), names.index(second)
        divergence[row, column] = divergence[column, row] = found.jensen_shannon
    health_plots.overlap_map(plots / "overlap.png", names, divergence)
    for lang, counts in tables.items():
        title = f"{lang}: phones that units stand for, PNMI {purities[lang].pnmi:.2f}"
        health_plots.phone_map(plots / f"phones_{lang}.png", counts, title=title)
