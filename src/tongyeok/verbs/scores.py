"""Print the scores of every direction beside their ceilings."""

import argparse
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

WIDTH = 100  # of a terminal
COLUMNS = (  # heading, width
    *(("direction", 9), ("n", 5), ("ASR-BLEU", 8), ("95 % interval", 14), ("resynth.", 8), ("of it", 6)),
    *(("reference", 9), ("chrF", 5), ("WER", 6), ("exact", 6), ("unit-B.", 7), ("voice", 5)),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print scores.json instead of a table")
    parser.add_argument("--evaluate", type=Path, default=Path("outputs/evaluate"), metavar="FOLDER")


def main(args: argparse.Namespace) -> int:
    """Print them.

    Raises:
        EvaluationError: there are no scores yet.
    """
    from tongyeok.evaluation.scores import read_scores  # noqa: PLC0415  keeps `--help` light

    directions = read_scores(args.evaluate)
    if args.json:
        print(json.dumps({"directions": directions}, ensure_ascii=False, indent=2))
    else:
        print(table(directions))
    return 0


def table(directions: Mapping[str, Mapping[str, object]]) -> str:
    """The scores for a terminal of 100 columns; `of it` is ASR-BLEU in percent of the resynthesis ceiling."""
    lines = [_line([heading for heading, _ in COLUMNS])]
    lines += [_line(_values(name, row)) for name, row in directions.items()]
    notes = dict.fromkeys(f"heard by {row['asr']}; {row['signature']}" for row in directions.values() if row["asr"])
    return "\n".join([*lines, "", *(textwrap.fill(note, WIDTH, subsequent_indent="  ") for note in notes)]).rstrip()


def _values(name: str, row: Mapping[str, object]) -> list[str]:
    span = row["asr_bleu_interval"]
    interval = f"{span[0]:.1f} to {span[1]:.1f}" if isinstance(span, list) else "-"
    bleu, ceiling = row["asr_bleu"], row["asr_bleu_resynthesised"]
    share = (
        f"{100 * bleu / ceiling:.0f} %" if isinstance(bleu, float) and isinstance(ceiling, float) and ceiling else "-"
    )
    figures = {key: "-" if row[key] is None else f"{row[key]:.1f}" for key in ("asr_bleu_reference", "chrf", "wer")}
    return [
        *(name, str(row["n"]), _number(bleu), interval, _number(ceiling), share, figures["asr_bleu_reference"]),
        *(figures["chrf"], figures["wer"], _number(row["exact"]), _number(row["unit_bleu"])),
        f"{row['speaker_similarity']:.2f}",
    ]


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def _line(values: list[str]) -> str:
    first, *others = (
        value.ljust(width) if place == 0 else value.rjust(width)
        for place, (value, (_, width)) in enumerate(zip(values, COLUMNS, strict=True))
    )
    return " ".join([first, *others]).rstrip()
