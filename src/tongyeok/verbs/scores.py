"""Print the scores of every direction beside their ceilings."""

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH = 100  # of a terminal
COLUMNS = (  # heading, width
    *(("direction", 9), ("n", 5), ("ASR-BLEU", 8), ("95 % interval", 14), ("resynth.", 8), ("of it", 6)),
    *(("reference", 9), ("chrF", 5), ("WER", 6), ("exact", 6), ("unit-B.", 7), ("voice", 5)),
)
FURTHER = {  # key of scores.json -> heading, width
    "cer": ("CER", 6),
    "cer_resynthesised": ("CER resynth.", 12),
    "cer_reference": ("CER reference", 13),
    "cer_chance": ("CER by chance", 13),
    "cer_no_spaces": ("CER w/o spaces", 14),
    "chrf_plus_plus": ("chrF++", 7),
    "char_bleu": ("char-BLEU", 9),
    "bleu_13a": ("13a-BLEU", 8),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print scores.json instead of a table")
    parser.add_argument("--evaluate", type=Path, default=Path("outputs/evaluate"), metavar="FOLDER")


def main(args: argparse.Namespace) -> int:
    """Print them.

    Raises:
        EvaluationError: there are no scores yet.
    """
    from tongyeok.evaluation.published import GUESSED, ZERO_SHOT, read_scores  # noqa: PLC0415  keeps `--help` light

    directions = read_scores(args.evaluate)
    if args.json:
        print(json.dumps({"directions": directions}, ensure_ascii=False, indent=2))
    else:
        print(table(directions, caution=GUESSED, zero_shot=ZERO_SHOT))
    return 0


def table(directions: Mapping[str, Mapping[str, object]], *, caution: str, zero_shot: str) -> str:
    """The scores for a terminal of 100 columns; `of it` is ASR-BLEU in percent of the resynthesis ceiling.

    Figures by characters stand in a table of their own. A star marks directions that `caution` is about: those whose
    recogniser does not understand the language; a ring those that `zero_shot` is about.
    """
    starred = {name for name, row in directions.items() if row.get("asr_understands") is False}
    ringed = {name for name, row in directions.items() if row.get("zero_shot")}
    names = {name: f"{name} {'*' * (name in starred)}{'°' * (name in ringed)}".rstrip() for name in directions}
    lines = _lines(COLUMNS, [_values(names[name], row) for name, row in directions.items()])
    heard = {name: row for name, row in directions.items() if row.get("cer") is not None}
    if heard:
        further = [[names[name], *(_number(row[key]) for key in FURTHER)] for name, row in heard.items()]
        lines += ["", *_lines([COLUMNS[0], *FURTHER.values()], further)]
    notes = ([f"* {caution}"] if starred else []) + ([f"° {zero_shot}"] if ringed else [])
    how: dict[str, list[str]] = {}
    for name, row in directions.items():
        if row["asr"]:
            how.setdefault(f"heard by {row['asr']}; {row['signature']}", []).append(name)
    notes += [f"{', '.join(those)}: {note}" for note, those in how.items()]
    return "\n".join(
        [*lines, "", *(textwrap.fill(note, WIDTH, subsequent_indent="  ", break_on_hyphens=False) for note in notes)]
    ).rstrip()


def _values(name: str, row: Mapping[str, object]) -> list[str]:
    span = row["asr_bleu_interval"]
    interval = f"{span[0]:.1f} to {span[1]:.1f}" if isinstance(span, list) else "-"
    bleu, ceiling = row["asr_bleu"], row["asr_bleu_resynthesised"]
    share = "-"
    if isinstance(bleu, float) and isinstance(ceiling, float) and ceiling and row.get("asr_understands") is not False:
        share = f"{100 * bleu / ceiling:.0f} %"
    figures = {key: "-" if row[key] is None else f"{row[key]:.1f}" for key in ("asr_bleu_reference", "chrf", "wer")}
    return [
        *(name, str(row["n"]), _number(bleu), interval, _number(ceiling), share, figures["asr_bleu_reference"]),
        *(figures["chrf"], figures["wer"], _number(row["exact"]), _number(row["unit_bleu"])),
        f"{row['speaker_similarity']:.2f}",
    ]


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def _lines(columns: Sequence[tuple[str, int]], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = []
    for row in [[heading for heading, _ in columns], *rows]:
        first, *others = (
            value.ljust(width) if place == 0 else value.rjust(width)
            for place, (value, (_, width)) in enumerate(zip(row, columns, strict=True))
        )
        lines.append(" ".join([first, *others]).rstrip())
    return lines
