"""The one command: `tongyeok <stage>[@iteration] …` runs a stage, `tongyeok <verb> …` uses what stages made."""

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tongyeok import __version__
from tongyeok.base.launch import Launch, expect_one, launched
from tongyeok.errors import ConfigError, TongyeokError, UnstableError
from tongyeok.registry import PARALLEL, STAGES, VERBS, Stage


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage or verb; user errors print one message and return 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0].partition("@")[0] if arguments else ""
    try:
        for stage in STAGES:
            if stage.name == name:
                return _run_stage(stage, arguments)
        for verb in VERBS:
            if verb.name == name:
                expect_one(f"tongyeok {name}", shared=PARALLEL)
                module = importlib.import_module(verb.module)
                parser = argparse.ArgumentParser(prog=f"tongyeok {name}", description=module.__doc__)
                module.configure(parser)
                return int(module.main(parser.parse_args(arguments[1:])))
    except TongyeokError as error:
        launch = _launched()
        process = f", process {launch.rank}" if launch.rank else ""
        if not _told_by_another(error, launch):
            print(f"tongyeok {arguments[0]}{process}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if _launched().rank == 0:
            print(f"tongyeok {arguments[0]}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return _overview(arguments)


def _told_by_another(error: TongyeokError, launch: Launch) -> bool:
    """Whether the first of all copies of the command, or the first on this machine, meets the same error."""
    if isinstance(error, UnstableError):
        return launch.rank > 0
    return isinstance(error, ConfigError) and launch.local_rank > 0


def _launched() -> Launch:
    """Which copy of the command this is; the only one where that cannot be told, so that its error is."""
    try:
        return launched()
    except ConfigError:
        return Launch()


def _overview(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--version"]:
        print(__version__)
        return 0
    stages = " ".join(stage.name + ("@i" if stage.per_iteration else "") for stage in STAGES)
    verbs = " ".join(verb.name for verb in VERBS)
    usage = f"usage: tongyeok <stage|verb> [--help]\n\nstages, in pipeline order:\n  {stages}\nverbs:\n  {verbs}"
    if arguments and arguments[0] not in {"-h", "--help"}:
        print(f"tongyeok: no stage or verb is called {arguments[0]!r}\n{usage}", file=sys.stderr)
        return 2
    print(usage)
    return 0


def _run_stage(stage: Stage, arguments: Sequence[str]) -> int:
    from tongyeok import runner  # noqa: PLC0415  keeps `tongyeok --help` light

    interface = runner.interface(stage)
    parser = argparse.ArgumentParser(
        prog=f"tongyeok {arguments[0]}", description=interface.module.__doc__, argument_default=argparse.SUPPRESS
    )
    for field in dataclasses.fields(interface.inputs):
        needed = field.default is dataclasses.MISSING
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=Path, required=needed, metavar="PATH")
    parser.add_argument("--outputs", type=Path, required=True, metavar="FOLDER", help="output folder, replaced whole")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    if stage.sharded:
        parser.add_argument("--on", metavar="PLACE", help="here, processes[:N] or ray[:ADDRESS]; default: $TONGYEOK_ON")
    given = vars(parser.parse_args(arguments[1:]))
    settings, params, outputs = given.pop("set"), given.pop("params"), given.pop("outputs")
    on = given.pop("on", None)
    item = arguments[0].partition("@")[2] or None
    runner.relaunch(stage, arguments)
    runner.execute(
        stage,
        item=item,
        inputs=interface.inputs(**given),
        outputs=outputs,
        params_path=params,
        settings=settings,
        on=on,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
