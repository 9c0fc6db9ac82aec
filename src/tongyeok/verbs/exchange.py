"""Exchange files with fairseq and its descendants: what their tools write, byte for byte where bytes can be equal."""

import argparse
from collections.abc import Callable
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands; fairseq's own names are kept for what its tools have too."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    manifest = _add(
        commands, "manifest", _manifest, "train.tsv and valid.tsv of a folder (wav2vec_manifest.py), sorted"
    )
    manifest.add_argument("root", type=Path, help="folder of 16 kHz mono recordings")
    manifest.add_argument("--dest", type=Path, default=Path(), metavar="FOLDER")
    manifest.add_argument("--ext", default="flac", help="extension of the recordings")
    manifest.add_argument("--valid-percent", type=float, default=0.01, metavar="SHARE", help="between 0 and 1")
    manifest.add_argument("--seed", type=int, default=42)
    manifest.add_argument("--path-must-contain", metavar="TEXT")

    features = _add(commands, "features", _features, "<split>_<rank>_<nshard>.npy and .len (dump_*_feature.py)")
    features.add_argument("manifest", type=Path, help="folder with <split>.tsv")
    features.add_argument("split")
    features.add_argument("output", type=Path, help="folder to write to")
    features.add_argument("--nshard", type=int, default=1)
    features.add_argument("--rank", type=int, default=0)
    features.add_argument("--checkpoint", type=Path, metavar="FILE", help="of HuBERT; without it MFCC are written")
    features.add_argument("--layer", type=int, help="1-based, of HuBERT")

    kmeans = _add(commands, "kmeans", _kmeans, "codebook.safetensors -> km.bin of scikit-learn, or km.bin -> codebook")
    kmeans.add_argument("source", type=Path)
    kmeans.add_argument("target", type=Path, help="a name in .safetensors makes a codebook")
    kmeans.add_argument("--allow-pickle", action="store_true", help="read km.bin, which runs its author's code")
    kmeans.add_argument("--checkpoint", type=Path, metavar="FILE", help="HuBERT that a km.bin was fitted on")
    kmeans.add_argument("--layer", type=int, help="1-based layer of it")

    labels = _add(commands, "labels", _labels, "shards of labels -> <split>.km and dict.km.txt")
    labels.add_argument("shards", type=Path, help="folder with <split>_<rank>_<nshard>.km")
    labels.add_argument("split")
    labels.add_argument("output", type=Path, help="folder to write to")
    labels.add_argument("--nshard", type=int, required=True)
    labels.add_argument("--clusters", type=int, required=True, help="K")

    units = _add(commands, "units", _units, "<lang>.tsv -> `utt|u u u` or bare lines, or back")
    units.add_argument("source", type=Path, help="<lang>.tsv of the stage `units`, or a .unit file")
    units.add_argument("target", type=Path, help="a name in .tsv makes the stage's form")
    units.add_argument("--distinct", action="store_true", help="without adjacent repeats")
    units.add_argument("--list", type=Path, metavar="FILE", help="bare lines; this file has their names")
    units.add_argument("--codebook", type=Path, metavar="FILE", help="codebook.safetensors that a .unit file is of")

    parallel = _add(commands, "parallel", _parallel, "pairs -> {train,valid}.{src,tgt} of units, drawn with a seed")
    parallel.add_argument("pairs", type=Path, help="lines `source utterance<TAB>target utterance`")
    parallel.add_argument("units", type=Path, help="folder of the stage `units`")
    parallel.add_argument("output", type=Path, help="folder to write to")
    parallel.add_argument("--valid-percent", type=float, default=0.1, metavar="SHARE", help="between 0 and 1")
    parallel.add_argument("--seed", type=int, default=42)

    metadata = _add(commands, "vocoder-metadata", _vocoder_metadata, "JSON lines audio, duration, units (a vocoder's)")
    metadata.add_argument("manifest", type=Path, help="folder of the stage `manifest`")
    metadata.add_argument("split")
    metadata.add_argument("units", type=Path, help="<lang>.tsv of the stage `units`")
    metadata.add_argument("output", type=Path, help="file to write")
    metadata.add_argument("--key", default="hubert", help="what the units are called in each line")
    metadata.add_argument("--audio", type=Path, metavar="FOLDER", help="takes the clips of packs as FLAC files")


def main(args: argparse.Namespace) -> int:
    """Run the sub-command and print what was written.

    Raises:
        TongyeokError: what was given cannot be exchanged.
    """
    print(args.run(args))
    return 0


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], str],
    summary: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(run=run)
    return parser


def _manifest(args: argparse.Namespace) -> str:
    from tongyeok.exchange.manifests import write_folder_manifest  # noqa: PLC0415  keeps `--help` light

    counts = write_folder_manifest(
        args.root,
        target=args.dest,
        extension=args.ext,
        valid_percent=args.valid_percent,
        seed=args.seed,
        must_contain=args.path_must_contain,
    )
    return "\n".join(f"{args.dest / split}.tsv: {count} recordings" for split, count in counts.items())


def _features(args: argparse.Namespace) -> str:
    from tongyeok.errors import UnitError  # noqa: PLC0415
    from tongyeok.exchange.features import dump_shard, hubert_extractor, mfcc_extractor  # noqa: PLC0415

    if (args.checkpoint is None) != (args.layer is None):
        raise UnitError("--checkpoint and --layer: expected both (HuBERT) or neither (MFCC)")
    extract = mfcc_extractor() if args.layer is None else hubert_extractor(args.checkpoint, layer=args.layer)
    tsv = args.manifest / f"{args.split}.tsv"
    return f"{dump_shard(tsv, shards=args.nshard, rank=args.rank, target=args.output, extract=extract)} and its .len"


def _kmeans(args: argparse.Namespace) -> str:
    from tongyeok.errors import UnitError  # noqa: PLC0415
    from tongyeok.exchange.kmeans import export_kmeans, import_kmeans  # noqa: PLC0415
    from tongyeok.speech2unit.codebook import Codebook, describe  # noqa: PLC0415

    if (args.source.suffix == ".safetensors") == (args.target.suffix == ".safetensors"):
        raise UnitError(f"expected one name in .safetensors, the codebook's, got {args.source} and {args.target}")
    if args.target.suffix == ".safetensors":
        codebook = import_kmeans(
            args.source, layer=args.layer, checkpoint=args.checkpoint, allow_pickle=args.allow_pickle
        )
        codebook.save(args.target)
    else:
        codebook = Codebook.load(args.source)
        export_kmeans(codebook, args.target)
    return f"{args.target}: {codebook.clusters} clusters of {describe(codebook)}"


def _labels(args: argparse.Namespace) -> str:
    from tongyeok.exchange.labels import merge_labels  # noqa: PLC0415

    count = merge_labels(args.shards, split=args.split, shards=args.nshard, clusters=args.clusters, target=args.output)
    return f"{args.output / args.split}.km: {count} utterances\n{args.output / 'dict.km.txt'}: {args.clusters} labels"


def _units(args: argparse.Namespace) -> str:
    from tongyeok.base.files import sha256  # noqa: PLC0415
    from tongyeok.base.units import UnitSource, read_units, write_units  # noqa: PLC0415
    from tongyeok.errors import UnitError  # noqa: PLC0415
    from tongyeok.exchange.units import read_unit_lines, write_unit_lines  # noqa: PLC0415
    from tongyeok.speech2unit.codebook import Codebook  # noqa: PLC0415

    if (args.source.suffix == ".tsv") == (args.target.suffix == ".tsv"):
        raise UnitError(f"expected one name in .tsv, the stage's form, got {args.source} and {args.target}")
    if args.target.suffix != ".tsv":
        _, units = read_units(args.source)
        write_unit_lines(args.target, units, distinct=args.distinct, listed=args.list)
    elif args.codebook is None:
        raise UnitError("--codebook: a .unit file does not say what its units are of; give their codebook.safetensors")
    else:
        codebook = Codebook.load(args.codebook)
        source = UnitSource(codebook=sha256(args.codebook), checkpoint=codebook.checkpoint, clusters=codebook.clusters)
        units = read_unit_lines(args.source, source, distinct=args.distinct, listed=args.list)
        write_units(args.target, source, units)
    return f"{args.target}: {len(units)} utterances"


def _parallel(args: argparse.Namespace) -> str:
    from tongyeok.exchange.parallel import read_pairs, write_parallel  # noqa: PLC0415

    counts = write_parallel(
        args.output, read_pairs(args.pairs), folder=args.units, share=args.valid_percent, seed=args.seed
    )
    return "\n".join(f"{args.output / split}.{{src,tgt,ids}}: {count} pairs" for split, count in counts.items())


def _vocoder_metadata(args: argparse.Namespace) -> str:
    from tongyeok.base.manifests import read_manifest  # noqa: PLC0415
    from tongyeok.base.units import read_units  # noqa: PLC0415
    from tongyeok.exchange.vocoder_metadata import write_metadata  # noqa: PLC0415

    _, units = read_units(args.units)
    manifest = read_manifest(args.manifest, args.split)
    written, total = write_metadata(args.output, manifest, units, key=args.key, audio=args.audio)
    return f"{args.output}: {written} of the {total} recordings of {args.split}"
