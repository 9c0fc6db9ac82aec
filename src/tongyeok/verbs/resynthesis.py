"""Score speech rebuilt from its own units against the original recordings, and write a page to listen to both."""

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTH = 100  # of a terminal
FOLDERS = ("corpus", "manifest", "units", "vocoder")
COLUMNS = (  # heading, width
    *(("language", 9), ("n", 5), ("original", 8), ("95 % interval", 14), ("resynth.", 8), ("95 % interval", 14)),
    *(("lost", 6), ("95 % interval", 14), ("voice", 5)),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--split", choices=("valid", "test"), default="test", help="valid: to choose settings by")
    parser.add_argument("--languages", type=lambda value: value.split(","), metavar="LANG,…", help="default: all heard")
    parser.add_argument("--examples", type=int, default=12, metavar="N", help="utterances of each language on the page")
    parser.add_argument("--json", action="store_true", help="print resynthesis.json instead of a table")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), metavar="FOLDER", help="of all stages")
    for stage in FOLDERS:
        parser.add_argument(
            f"--{stage}", type=Path, metavar="FOLDER", help=f"outputs of the stage {stage}, if elsewhere"
        )
    parser.add_argument(
        "--page", type=Path, metavar="FOLDER", help="replaced whole; default: <outputs>/resynthesis/<split>"
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")


def main(args: argparse.Namespace) -> int:
    """Resynthesise a split, listen, write the page, print the table.

    Raises:
        TongyeokError: outputs are missing or do not belong together, or the recogniser cannot be had.
    """
    import torch  # noqa: PLC0415  keeps `--help` light

    from tongyeok import config  # noqa: PLC0415
    from tongyeok.errors import EvaluationError  # noqa: PLC0415
    from tongyeok.evaluation import resynthesis, resynthesis_page, resynthesis_scores  # noqa: PLC0415
    from tongyeok.evaluation.asr import Whisper  # noqa: PLC0415
    from tongyeok.evaluation.evaluate import EvaluateConfig  # noqa: PLC0415
    from tongyeok.runtime import Runtime  # noqa: PLC0415
    from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder  # noqa: PLC0415

    if args.examples < 1:
        raise EvaluationError(f"--examples: expected at least 1, got {args.examples}")
    page = args.page or args.outputs / "resynthesis" / args.split
    resynthesis_page.check_replaceable(page)
    params = config.read_params(args.params)
    evaluate, shared = (config.pick(params, name, None, path=args.params) for name in ("evaluate", "runtime"))
    cfg = config.build(EvaluateConfig, evaluate, where=f"{args.params}: evaluate")
    runtime = config.build(Runtime, shared, where=f"{args.params}: runtime")
    torch.set_num_threads(runtime.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folders = resynthesis.Folders(**{stage: getattr(args, stage) or args.outputs / stage for stage in FOLDERS})
    utterances = resynthesis.read_split(
        folders.corpus, folders.manifest, args.split, languages=args.languages, known=cfg.asr.languages
    )
    whisper = Whisper(cfg.asr, device=device, threads=runtime.threads)
    found = resynthesis.measure(
        utterances, folders=folders, whisper=whisper, encoder=load_speaker_encoder(device=device), device=device
    )
    by_language = resynthesis_scores.score(found.heard, resamples=cfg.resamples, seed=cfg.seed)
    scores = resynthesis_scores.public(by_language, split=args.split, asr=whisper.identity)
    resynthesis_page.write_page(page, found, scores, utterances, corpus=folders.corpus, examples=args.examples)
    if args.json:
        print(json.dumps(scores, ensure_ascii=False, indent=2))
    else:
        print(f"{table(scores)}\n{page / resynthesis_page.PAGE}")
    return 0


def table(scores: Mapping[str, Any]) -> str:
    """The scores for a terminal of 100 columns: word error rates in percent, and how alike the voices are."""
    lines = [f"word error rate in percent, split {scores['split']}", _line([heading for heading, _ in COLUMNS])]
    for lang, row in scores["languages"].items():
        values = [lang, str(row["n"])]
        for name in ("wer_original", "wer_resynthesised", "wer_lost"):
            values += [f"{row[name]:.1f}", "{:.1f} to {:.1f}".format(*row[f"{name}_interval"])]
        lines.append(_line([*values, f"{row['voice_similarity']:.2f}"]))
    return "\n".join([*lines, "", textwrap.fill(f"heard by {scores['asr']}", WIDTH, subsequent_indent="  ")])


def _line(values: Sequence[str]) -> str:
    first, *others = (
        value.rjust(width) if place else value.ljust(width)
        for place, (value, (_, width)) in enumerate(zip(values, COLUMNS, strict=True))
    )
    return " ".join([first, *others])
