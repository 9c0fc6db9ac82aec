"""Turn another project's configuration into a section of ours: `tongyeok adopt vocoder config.json --name guide`."""

import argparse
import dataclasses
import json
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("section", choices=["vocoder"], help="vocoder: JSON of fairseq's or AV2AV's unit HiFi-GAN")
    parser.add_argument("source", type=Path, metavar="JSON")
    parser.add_argument("--name", required=True, help="of the new choice: conf/<section>/<name>.yaml")
    parser.add_argument("--rest", default="paper", metavar="NAME", help="gives what the JSON leaves open (paper)")
    parser.add_argument("--conf", type=Path, default=Path("conf"), metavar="FOLDER")


def main(args: argparse.Namespace) -> int:
    """Write it and say how to choose it.

    Raises:
        ConfigError: the JSON cannot be read, says what has no meaning here or cannot work, or the name is taken.
    """
    from tongyeok import config  # noqa: PLC0415  keeps `--help` light
    from tongyeok.base.files import write_text  # noqa: PLC0415
    from tongyeok.errors import ConfigError  # noqa: PLC0415
    from tongyeok.unit2speech.reference_config import read_reference  # noqa: PLC0415  imports torch
    from tongyeok.unit2speech.vocoder import VocoderConfig  # noqa: PLC0415
    from tongyeok.verbs.params import as_yaml  # noqa: PLC0415

    folder = args.conf / args.section
    target, given = folder / f"{args.name}.yaml", folder / f"{args.rest}.yaml"
    if target.exists():
        raise ConfigError(f"{target}: exists already; remove it or take another --name")
    if not given.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{given}: no such choice to take the rest from; {folder} has: {known}")
    rest = config.build(VocoderConfig, config.read_params(given), where=str(given))
    made = read_reference(args.source, rest=rest)
    write_text(target, as_yaml(json.loads(json.dumps(dataclasses.asdict(made)))))
    print(f"{target}: choose it with `tongyeok params {args.section}={args.name}`")
    return 0
