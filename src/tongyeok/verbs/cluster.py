"""Place workers on a Ray cluster: a command, several times, on whichever nodes have room.

    tongyeok cluster workers 8 -- tongyeok tune worker --storage postgresql://… --study NAME

Ray starts a worker elsewhere when its node is lost. Start the cluster first: docs/ray.md.
"""

import argparse
from pathlib import Path

from tongyeok.errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    workers = commands.add_parser("workers", help="run a command several times, on whichever nodes have room")
    workers.add_argument("count", type=int, metavar="N", help="how many; those without room wait for it")
    workers.add_argument("words", nargs="+", metavar="-- WORD", help="the command, after `--`")
    workers.add_argument("--on", metavar="HOST:PORT", help="the cluster's head; default: this machine's cluster")
    workers.add_argument("--cpus", type=float, metavar="N", help="CPUs of each; default: `runtime.threads`")
    workers.add_argument("--gpus", type=float, metavar="SHARE", help="GPUs of each, e.g. 0.5; default: 1 if there are")
    workers.add_argument("--losses", type=int, default=5, metavar="N", help="how often each may be lost (default: 5)")
    workers.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")


def main(args: argparse.Namespace) -> int:
    """Run the workers to their ends; 1 if one failed.

    Raises:
        ConfigError: a number is out of range, or the parameters do not fit.
        TongyeokError: Ray or a node cannot be used.
    """
    from tongyeok import config  # noqa: PLC0415  keeps `--help` light
    from tongyeok.executors.workers import place_workers  # noqa: PLC0415
    from tongyeok.runtime import Runtime  # noqa: PLC0415

    for name, least in (("count", 1), ("losses", 0)):
        if getattr(args, name) < least:
            raise ConfigError(f"cluster workers: expected {name} of at least {least}, got {getattr(args, name)}")
    cpus = args.cpus
    if cpus is None:
        values = config.pick(config.read_params(args.params), "runtime", None, path=args.params)
        cpus = config.build(Runtime, values, where="runtime").threads
    failed = 0
    for ended in place_workers(
        args.words, count=args.count, address=args.on, cpus=cpus, gpus=args.gpus, losses=args.losses
    ):
        print(f"worker {ended.number} on {ended.node}: exit status {ended.status}", flush=True)
        failed += ended.status != 0
    return 1 if failed else 0
