"""Search better settings: `tongyeok tune units` and `tune translator` begin studies, `worker` joins one from anywhere.

A study begins with the settings in force and judges every trial on the valid split; `promote` writes the best trial
into conf/ and params.yaml. docs/tuning.md tells how.
"""

import argparse
import dataclasses
import difflib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tongyeok.tuning.study import Opened

HOME = Path(".tongyeok/tune")
MIB = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for kind, about in (
        ("units", "the final clusters, layer, share and switch penalty"),
        ("translator", "shape and training of the Transformer"),
    ):
        begin = _add(commands, kind, _begin, f"a study of {about}")
        begin.add_argument("--space", metavar="NAME", help=f"conf/tune/NAME.yaml (default: {kind})")
        begin.add_argument("--study", metavar="NAME", help="of the study (default: the space's)")
        begin.add_argument(
            "--trials", type=int, metavar="N", help="in all, of this and earlier calls (default: the space's)"
        )
        begin.add_argument(
            "--workers", type=int, default=1, metavar="N", help="on this machine; 0 only queues (default: 1)"
        )
        begin.add_argument("--heartbeat", type=int, default=60, metavar="S", help="seconds between signs of life (60)")
        begin.add_argument("--conf", type=Path, default=Path("conf"), metavar="FOLDER")
        begin.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")
        _add_places(begin)

    worker = _add(commands, "worker", _work, "take trials of a study until none is left")
    worker.add_argument("--study", required=True, metavar="NAME")
    worker.add_argument("--threads", type=int, metavar="N", help="of each stage (default: runtime.threads)")
    worker.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}", help="draws its own settings by it")
    _add_places(worker)

    promote = _add(
        commands, "promote", _promote, "write the best trial into conf/ and params.yaml, as a diff to review"
    )
    promote.add_argument("--study", required=True, metavar="NAME")
    promote.add_argument("--trial", type=int, metavar="N", help="another than the best; needed with several figures")
    promote.add_argument("--check", action="store_true", help="print the diff and write nothing")
    promote.add_argument("--conf", type=Path, default=Path("conf"), metavar="FOLDER")
    promote.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE")
    _add_home(promote)

    report = _add(commands, "report", _report, "a table and pictures of a study, logged to MLflow too")
    report.add_argument("--study", required=True, metavar="NAME")
    _add_home(report)


def main(args: argparse.Namespace) -> int:
    """Run the sub-command.

    Raises:
        TongyeokError: space, parameters, inputs and study do not fit together, or the database cannot be used.
    """
    return int(args.run(args))


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    about: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    return parser


def _add_home(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--storage", metavar="URL", help="of the studies' database (default: SQLite in --home)")
    parser.add_argument("--home", type=Path, default=HOME, metavar="FOLDER", help=f"of what trials make ({HOME})")


def _add_places(parser: argparse.ArgumentParser) -> None:
    _add_home(parser)
    parser.add_argument("--flow", type=Path, default=Path("outputs"), metavar="FOLDER", help="outputs of `dvc repro`")


def _url(args: argparse.Namespace) -> str:
    return args.storage or f"sqlite:///{args.home / 'studies.db'}"


def _begin(args: argparse.Namespace) -> int:
    import psutil  # noqa: PLC0415  keeps `--help` light

    from tongyeok import config, workplace  # noqa: PLC0415
    from tongyeok.errors import ConfigError  # noqa: PLC0415
    from tongyeok.runner import TIMINGS, read_timings  # noqa: PLC0415
    from tongyeok.runtime import visible_gpus  # noqa: PLC0415
    from tongyeok.tuning import placement, promotion, space, study  # noqa: PLC0415
    from tongyeok.tuning.trial_flow import Given  # noqa: PLC0415

    name = args.space or args.command
    found = space.read_space(args.conf, name)
    if found.kind != args.command:
        raise ConfigError(f"conf/tune/{name}.yaml: a space of {found.kind}; give it to `tongyeok tune {found.kind}`")
    if args.workers < 0 or args.heartbeat < 1:
        raise ConfigError(
            f"expected --workers of 0 or more and --heartbeat of 1 s or more, got {args.workers}, {args.heartbeat}"
        )
    if args.trials is not None:
        found = config.build(space.Space, {**dataclasses.asdict(found), "trials": args.trials}, where="--trials")
    params = config.read_params(args.params)
    now = space.check(found, params, where=f"conf/tune/{name}.yaml")
    given = Given(flow=args.flow, last=params["flow"]["last"])
    inputs = {kind: workplace.sampled_digest(path) for kind, path in given.needed(found, params).items()}
    made = promotion.composed_by(args.params)
    plan = study.new_plan(found, params, inputs, heartbeat_s=args.heartbeat, profile=made.profile if made else None)
    called = args.study or name
    opened = study.begin(_url(args), called, plan=plan, now=now)
    waiting = len(opened.trials(*study.OPEN))
    print(f"study {called}: {len(opened.trials(*study.FINISHED))} of {found.trials} trials are done, {waiting} to go")
    if args.workers and waiting:
        trained = placement.trained(found, last=given.last)
        free = psutil.virtual_memory().available // MIB
        if short := placement.shortage(args.workers, trained, read_timings(TIMINGS), available_mib=free):
            print(short, file=sys.stderr)
        places = placement.share_out(
            args.workers,
            threads=params["runtime"]["threads"],
            gpus=visible_gpus(),
        )
        placement.run(places, ["--study", called, "--storage", _url(args), *_places(args)])
    if not args.workers:
        return 0
    print(_publish(opened, args))
    left = found.trials - len(opened.trials(*study.FINISHED))
    if left > 0:
        print(f"study {called}: {left} trials are left; begin it again to go on", file=sys.stderr)
        return 1
    return 0


def _places(args: argparse.Namespace) -> list[str]:
    return ["--home", str(args.home), "--flow", str(args.flow)]


def _work(args: argparse.Namespace) -> int:
    from tongyeok import workplace  # noqa: PLC0415  keeps `--help` light
    from tongyeok.errors import ConfigError, TongyeokError  # noqa: PLC0415
    from tongyeok.runtime import pin_threads  # noqa: PLC0415
    from tongyeok.tuning import study, worker  # noqa: PLC0415

    if args.threads is not None and args.threads < 1:
        raise ConfigError(f"--threads: expected 1 or more, got {args.threads}; leave it out for runtime.threads")
    opened = study.join(_url(args), args.study)
    study.check_code(args.study, opened.plan)
    threads = args.threads or opened.plan.params["runtime"]["threads"]
    pin_threads(threads)

    from tongyeok.tuning.objective import Objective  # noqa: PLC0415  after the threads are pinned
    from tongyeok.tuning.trial_flow import Given  # noqa: PLC0415

    plan = opened.plan
    given = Given(flow=args.flow, last=plan.params["flow"]["last"])
    for kind, path in given.needed(plan.space, plan.params).items():
        digest = workplace.sampled_digest(path)
        if digest != plan.inputs[kind]:
            raise TongyeokError(
                f"{path}: expected the {kind} that the study was begun with, {plan.inputs[kind]}, got {digest}; bring "
                "it here with `dvc pull`, or point --flow to it"
            )
    seed = worker.seed_of(plan.space.seed, args.name, len(opened.trials(*study.FINISHED)))
    opened = study.join(_url(args), args.study, sampler_seed=seed)
    objective = Objective(
        opened, given=given, folder=args.home / args.study, pieces=args.home / "made", threads=threads
    )
    with study.reached(_url(args)):
        done = worker.work(opened, objective)
    print(f"worker {args.name}: {done} trials done, none is left")
    return 0


def _report(args: argparse.Namespace) -> int:
    from tongyeok.tuning import study  # noqa: PLC0415  keeps `--help` light

    print(_publish(study.join(_url(args), args.study), args))
    return 0


def _publish(opened: "Opened", args: argparse.Namespace) -> str:
    """Write the report, log it to the study's run, and return it."""
    from tongyeok import runs  # noqa: PLC0415
    from tongyeok.tuning import report  # noqa: PLC0415

    folder = args.home / opened.study.study_name / "report"
    text = report.write(opened, folder)
    plan = opened.plan
    space = dataclasses.asdict(plan.space)
    settings = {name: value for name, value in space.items() if name not in {"dimensions", "trials"}}
    settings["dimensions"] = {name: str(found) for name, found in plan.space.dimensions.items()}
    with runs.tuning_run(
        run=plan.run,
        name=opened.study.study_name,
        params=settings,
        tags={"stage": f"tune {plan.space.kind}"},
        inputs=plan.inputs,
        folder=folder.with_name(f"report-tracking-{os.getpid()}"),
        study=None,
    ) as run:
        run.finish(report.metrics(opened), folder, [])
    return text


def _promote(args: argparse.Namespace) -> int:
    from tongyeok.base.files import write_text  # noqa: PLC0415  keeps `--help` light
    from tongyeok.errors import ConfigError  # noqa: PLC0415
    from tongyeok.tuning import promotion, study  # noqa: PLC0415
    from tongyeok.verbs import params  # noqa: PLC0415

    opened = study.join(_url(args), args.study)
    trial = promotion.trial_of(opened, args.trial)
    settings = dict(trial.user_attrs["settings"])
    made = promotion.composition(args.params)
    present = params.compose(args.conf, made.profile, made.overrides)
    before = params.render(present, profile=made.profile, overrides=made.overrides)
    if args.params.read_text(encoding="utf-8") != before:
        raise ConfigError(f"{args.params}: not what {args.conf} composes; compose it with `tongyeok params` first")
    promotion.check_same(opened, made, present)
    if promotion.in_force(present, settings):
        print(f"trial {trial.number} is what is in force; nothing to promote", file=sys.stderr)
        return 0
    texts = promotion.rewrite(args.conf, made, settings)
    others = _other_profiles(args.conf, made.profile)
    old = {path: path.read_text(encoding="utf-8") for path in texts}
    for path, text in texts.items():
        write_text(path, text)
    try:
        composed = params.compose(args.conf, made.profile, made.overrides)
        params.validate(composed)
        promotion.check_effect(composed, made, settings)
        after = params.render(composed, profile=made.profile, overrides=made.overrides)
        changed = [name for name, found in _other_profiles(args.conf, made.profile).items() if found != others[name]]
    except BaseException:
        _restore(old)
        raise
    if args.check:
        _restore(old)
    else:
        write_text(args.params, after)
    for path, was, now in [*((path, old[path], text) for path, text in texts.items()), (args.params, before, after)]:
        sys.stdout.writelines(
            difflib.unified_diff(was.splitlines(keepends=True), now.splitlines(keepends=True), str(path), str(path))
        )
    for name in changed:
        print(f"also changes profile {name}, which takes files of {made.profile}", file=sys.stderr)
    return 0


def _other_profiles(conf: Path, but: str) -> dict[str, dict[str, Any] | None]:
    """What every other profile composes; None where it does not."""
    from tongyeok.errors import ConfigError  # noqa: PLC0415
    from tongyeok.verbs import params  # noqa: PLC0415

    found: dict[str, dict[str, Any] | None] = {}
    for name in sorted({path.stem for path in conf.glob("*.yaml")} - {but}):
        try:
            found[name] = params.compose(conf, name)
        except ConfigError:
            found[name] = None
    return found


def _restore(texts: dict[Path, str]) -> None:
    from tongyeok.base.files import write_text  # noqa: PLC0415

    for path, text in texts.items():
        write_text(path, text)
