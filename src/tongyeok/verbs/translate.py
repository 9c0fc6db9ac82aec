"""Translate a recording: speech in one language in, speech in another out, in the same voice."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("recording", type=Path, help="wav, flac, ogg or mp3, any sample rate")
    parser.add_argument("--from", dest="source", required=True, metavar="LANG", help="language spoken, e.g. ko")
    parser.add_argument("--to", dest="target", required=True, metavar="LANG", help="language wanted, e.g. en")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="wav, flac or ogg to write")
    parser.add_argument("--mix", action="store_true", help="average the channels of a stereo recording")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), metavar="FOLDER", help="of all stages")
    for stage in ("kmeans", "hubert", "translator", "vocoder"):
        parser.add_argument(f"--{stage}", type=Path, metavar="FOLDER", help=f"model of the stage {stage}, if elsewhere")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")


def main(args: argparse.Namespace) -> int:
    """Translate it and print what was made.

    Raises:
        TongyeokError: the recording cannot be used, or models are missing or do not belong together.
    """
    import soundfile  # noqa: PLC0415  keeps `--help` light
    import torch  # noqa: PLC0415

    from tongyeok import config  # noqa: PLC0415
    from tongyeok.base.audio import SAMPLE_RATE  # noqa: PLC0415
    from tongyeok.base.files import whole  # noqa: PLC0415
    from tongyeok.errors import EvaluationError  # noqa: PLC0415
    from tongyeok.evaluation import chain  # noqa: PLC0415
    from tongyeok.evaluation.translate_test import TranslateTestConfig  # noqa: PLC0415
    from tongyeok.speech2unit.codebook import FILE, Codebook  # noqa: PLC0415
    from tongyeok.speech2unit.units import UnitsConfig  # noqa: PLC0415

    suffix = args.output.suffix.lstrip(".").upper()
    if suffix not in {"WAV", "FLAC", "OGG"}:
        raise EvaluationError(f"--output {args.output}: expected a name in .wav, .flac or .ogg")
    params = config.read_params(args.params)
    where = str(args.params)
    units = config.build(UnitsConfig, config.pick(params, "units", None, path=args.params), where=f"{where}: units")
    search = config.build(
        TranslateTestConfig,
        config.pick(params, "translate_test", None, path=args.params),
        where=f"{where}: translate_test",
    )
    samples = chain.read_recording(args.recording, mix=args.mix)
    kmeans = args.kmeans or chain.last_iteration(args.outputs / "kmeans")
    hubert = args.hubert
    if hubert is None and Codebook.load(kmeans / FILE).feature == "hubert":
        hubert = chain.last_iteration(args.outputs / "hubert")
    models = chain.Chain.load(
        kmeans=kmeans,
        hubert=hubert,
        translator=args.translator or args.outputs / "translator",
        vocoder=args.vocoder or args.outputs / "vocoder",
        switch_penalty=units.switch_penalty,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    made = models.translate(samples, source=args.source, target=args.target, search=search)
    with whole(args.output) as partial:
        soundfile.write(partial, made.samples, SAMPLE_RATE, format=suffix)
    print(
        f"{args.recording} ({args.source}): {samples.size / SAMPLE_RATE:.2f} s, {made.source_units.size} units\n"
        f"{args.output} ({args.target}): {made.samples.size / SAMPLE_RATE:.2f} s, {made.units.size} distinct units"
    )
    return 0
