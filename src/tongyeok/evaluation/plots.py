"""Pictures of scores: ASR-BLEU of each direction beside its ceilings, and the same figures as a table for DVC."""

from collections.abc import Collection, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from tongyeok.base.files import write_text
from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.scores import DirectionScores

BARS = "plots/asr_bleu.png"
TABLE = "asr_bleu.csv"
COLOURS = {"translated": "#c4513a", "resynthesised": "#8aa6c1", "reference": "#c9ced6"}
WIDTH = 0.26  # of a bar, in directions


def bars(scores: Mapping[str, DirectionScores]) -> dict[str, dict[str, Score]]:
    """Direction -> kind of speech -> ASR-BLEU, for the directions that the recogniser covers."""
    return {
        name: {
            "translated": row.asr.translated.bleu,
            "resynthesised": row.asr.resynthesised.bleu,
            "reference": row.asr.reference.bleu,
        }
        for name, row in scores.items()
        if row.asr
    }


def write(folder: Path, scores: Mapping[str, DirectionScores]) -> None:
    """Write the picture and the table."""
    found = bars(scores)
    lines = ["direction,speech,asr_bleu,low,high"]
    for name, kinds in found.items():
        lines += [f"{name},{kind},{bleu.value:.2f},{bleu.low:.2f},{bleu.high:.2f}" for kind, bleu in kinds.items()]
    write_text(folder / TABLE, "\n".join(lines) + "\n")
    guessed = {name for name, row in scores.items() if row.asr and not row.asr.understood}
    draw(folder / BARS, found, guessed=guessed)


def draw(path: Path, found: Mapping[str, Mapping[str, Score]], *, guessed: Collection[str]) -> None:
    """Draw a group of three bars with 95 % intervals per direction; `guessed` ones say that nothing was understood."""
    figure = Figure(figsize=(max(5.0, 1.2 + 1.8 * len(found)), 3.8), layout="constrained")
    axes = figure.add_subplot()
    for place, (kind, colour) in enumerate(COLOURS.items()):
        rows = [kinds[kind] for kinds in found.values()]
        centres = [position + (place - 1) * WIDTH for position in range(len(rows))]
        below = [max(0.0, row.value - row.low) for row in rows]
        above = [max(0.0, row.high - row.value) for row in rows]
        values = [row.value for row in rows]
        drawn = axes.bar(centres, values, WIDTH * 0.94, label=kind, color=colour, yerr=[below, above], capsize=3)
        axes.bar_label(drawn, fmt="%.1f", fontsize=8, padding=2)
    labels = [f"{name}\n(not understood)" if name in guessed else name for name in found]
    axes.set_xticks(range(len(found)), labels)
    axes.set_ylabel("ASR-BLEU, 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
