"""Score speech rebuilt from its own units against the original recordings, and write a page to listen to both."""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STAGES = ("corpus", "manifest", "units", "vocoder")
WIDTHS = (9, 5, 8, 14, 8, 14, 7, 7, 6, 5)
COLUMNS = (
    "language",
    "n",
    "WER orig",
    "95 % interval",
    "resynth.",
    "95 % interval",
    "CER or.",
    "resyn.",
    "alike",
    "voice",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--languages", type=lambda value: value.split(","), metavar="LANG,…", help="default: all heard")
    parser.add_argument("--examples", type=int, default=12, metavar="N", help="utterances of each language on the page")
    parser.add_argument("--json", action="store_true", help="print resynthesis.json instead of a table")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), metavar="FOLDER", help="of all stages")
    for stage in STAGES:
        parser.add_argument(
            f"--{stage}", type=Path, metavar="FOLDER", help=f"outputs of the stage {stage}, if elsewhere"
        )
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="replaced whole; default: <outputs>/resynthesis")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")


def main(args: argparse.Namespace) -> int:
    """Resynthesise the test split, listen, write the page, print the table.

    Raises:
        TongyeokError: outputs are missing or do not belong together, or the recogniser cannot be had.
    """
    import torch  # noqa: PLC0415  keeps `--help` light

    from tongyeok import config  # noqa: PLC0415
    from tongyeok.base.manifests import read_manifest  # noqa: PLC0415
    from tongyeok.base.utterances import read_utterances  # noqa: PLC0415
    from tongyeok.errors import EvaluationError  # noqa: PLC0415
    from tongyeok.evaluation import resynthesis  # noqa: PLC0415
    from tongyeok.evaluation.asr import Whisper  # noqa: PLC0415
    from tongyeok.evaluation.evaluate import EvaluateConfig  # noqa: PLC0415
    from tongyeok.runner import Runtime  # noqa: PLC0415
    from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder  # noqa: PLC0415
    from tongyeok.unit2speech.synthesis import UnitVocoder  # noqa: PLC0415

    if args.examples < 1:
        raise EvaluationError(f"--examples: expected at least 1, got {args.examples}")
    page = args.page or args.outputs / "resynthesis"
    if page.exists() and not (page / resynthesis.SCORES).is_file():
        raise EvaluationError(f"--page {page}: expected a folder that this verb made, or none, got other files")
    params = config.read_params(args.params)
    evaluate, shared = (config.pick(params, name, None, path=args.params) for name in ("evaluate", "runtime"))
    cfg = config.build(EvaluateConfig, evaluate, where=f"{args.params}: evaluate")
    runtime = config.build(Runtime, shared, where=f"{args.params}: runtime")
    torch.set_num_threads(runtime.threads)
    corpus, manifest, units, vocoder = (getattr(args, stage) or args.outputs / stage for stage in STAGES)
    languages = args.languages
    if languages is None:
        held_out = set(read_manifest(manifest, "test").utts)
        present = {row.lang for row in read_utterances(corpus) if row.utt in held_out}
        languages = [lang for lang in cfg.asr.languages if lang in present]
    unheard = [lang for lang in languages if lang not in cfg.asr.languages]
    if unheard or not languages:
        raise EvaluationError(
            f"--languages: expected languages that the recogniser understands ({', '.join(cfg.asr.languages)}), got "
            f"{', '.join(unheard) or 'none of them in the test split'}; name another model in evaluate.asr"
        )
    utterances = resynthesis.chosen(corpus, manifest, languages)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = load_speaker_encoder(device=device)
    made = resynthesis.resynthesise(
        utterances, corpus=corpus, units=units, vocoder=UnitVocoder.load(vocoder, device), encoder=encoder
    )
    whisper = Whisper(cfg.asr, device=device, threads=runtime.threads)
    heard = resynthesis.listen(utterances, made, corpus=corpus, whisper=whisper, encoder=encoder)
    partial = page.with_name(f".{page.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    scores = resynthesis.write(
        partial, cfg, heard, utterances, made, corpus=corpus, asr=whisper.identity, examples=args.examples
    )
    shutil.rmtree(page, ignore_errors=True)
    partial.rename(page)
    shown = resynthesis.public(scores, asr=whisper.identity)
    print(json.dumps(shown, ensure_ascii=False, indent=2) if args.json else f"{table(shown)}\n{page / 'index.html'}")
    return 0


def table(scores: Mapping[str, Any]) -> str:
    """The scores for a terminal of 100 columns; `alike`: percent of resyntheses heard as their original is."""
    lines = [_line(COLUMNS)]
    for lang, row in scores["languages"].items():
        spans = {
            name: "{:.1f} to {:.1f}".format(*row[f"{name}_interval"]) for name in ("wer_original", "wer_resynthesised")
        }
        values = [lang, str(row["n"]), f"{row['wer_original']:.1f}", spans["wer_original"]]
        values += [f"{row['wer_resynthesised']:.1f}", spans["wer_resynthesised"]]
        values += [f"{row[name]:.1f}" for name in ("cer_original", "cer_resynthesised", "heard_alike")]
        lines.append(_line([*values, f"{row['voice_similarity']:.2f}"]))
    return "\n".join([*lines, "", f"heard by {scores['asr']}"])


def _line(values: list[str] | tuple[str, ...]) -> str:
    first, *others = (
        value.rjust(width) if place else value.ljust(width)
        for place, (value, width) in enumerate(zip(values, WIDTHS, strict=True))
    )
    return " ".join([first, *others])
