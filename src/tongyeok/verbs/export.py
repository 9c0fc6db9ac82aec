"""Write a trained model in the form that other software loads."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", choices=["vocoder"], help="vocoder: for fairseq's CodeHiFiGANVocoder, one language")
    parser.add_argument("--vocoder", type=Path, default=Path("outputs/vocoder"), metavar="FOLDER", help="to export")
    parser.add_argument("--lang", required=True, metavar="LANG", help="language to speak, e.g. ko")
    parser.add_argument("--voice", type=Path, metavar="RECORDING", help="speak only like this; default: any d-vector")
    parser.add_argument("--outputs", type=Path, required=True, metavar="FOLDER", help="for model.pt and config.json")


def main(args: argparse.Namespace) -> int:
    """Export it and say where it is.

    Raises:
        CheckpointError: the vocoder cannot be loaded, has another head, or does not speak the language.
        CorpusError: the recording of the voice cannot be used.
    """
    from tongyeok.evaluation.chain import read_recording  # noqa: PLC0415  keeps `--help` light
    from tongyeok.unit2speech import export  # noqa: PLC0415
    from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder  # noqa: PLC0415
    from tongyeok.unit2speech.synthesis import UnitVocoder  # noqa: PLC0415

    vocoder = UnitVocoder.load(args.vocoder)
    voice = None
    if args.voice is not None:
        voice = load_speaker_encoder(device="cpu").embed([read_recording(args.voice, mix=False)])[0]
    export.export(vocoder, lang=args.lang, outputs=args.outputs, voice=voice)
    print(f"{args.outputs / export.CHECKPOINT} and {args.outputs / export.JSON}: {args.lang}, for CodeHiFiGANVocoder")
    return 0
