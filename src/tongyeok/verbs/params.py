"""Compose `params.yaml` from the Hydra groups in `conf/`: `tongyeok params [--profile NAME] [OVERRIDE …]`."""

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tongyeok import config
from tongyeok.base.files import write_text
from tongyeok.errors import ConfigError
from tongyeok.registry import STAGES
from tongyeok.runtime import Runtime

HEADER = """\
# Composed from conf/ by
#   tongyeok params {arguments}
# Edit conf/ (or give overrides) and compose again; `dvc repro` then runs what the change touches.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="Hydra overrides: translator=paper units.x=3")
    parser.add_argument("--profile", default="demo", help="conf/<profile>.yaml (default: demo)")
    parser.add_argument("--conf", type=Path, default=Path("conf"), metavar="FOLDER")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="the file to write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 unless the file is up to date")


def main(args: argparse.Namespace) -> int:
    """Compose, validate and write; or compare."""
    params = compose(args.conf, args.profile, args.overrides)
    validate(params)
    text = render(params, profile=args.profile, overrides=args.overrides)
    if not args.check:
        write_text(args.params, text)
        return 0
    found = args.params.read_text(encoding="utf-8") if args.params.is_file() else ""
    difference = difflib.unified_diff(
        found.splitlines(keepends=True), text.splitlines(keepends=True), str(args.params), f"conf/ ({args.profile})"
    )
    sys.stdout.writelines(difference)
    return int(found != text)


def compose(conf: Path, profile: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Compose a profile into plain sections, in pipeline order, with the derived section `flow`.

    Args:
        conf: folder of Hydra groups.
        profile: name of a primary file in it.
        overrides: in Hydra's grammar, e.g. `translator=paper` or `units.switch_penalty=0.5`.

    Raises:
        ConfigError: Hydra cannot compose that, or an iteration is missing.
    """
    import hydra  # noqa: PLC0415  slow to import
    from hydra.core.global_hydra import GlobalHydra  # noqa: PLC0415
    from hydra.errors import HydraException  # noqa: PLC0415
    from omegaconf import OmegaConf  # noqa: PLC0415
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415

    if not (conf / f"{profile}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in conf.glob("*.yaml"))) or "none"
        raise ConfigError(f"{conf / profile}.yaml: no such profile; {conf} has: {known}")
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf.resolve()), version_base="1.3"):
            composed = hydra.compose(profile, overrides=list(overrides))
        values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{conf}: profile {profile!r} does not compose: {error}") from None
    order = ["runtime", *(stage.name for stage in STAGES)]
    sections = {name: values.pop(name) for name in order if name in values}
    return {**sections, **values, "flow": flow(sections)}


def flow(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Derive what `dvc.yaml` needs to know of the HuBERT iterations beside the sections themselves.

    Iteration 0 clusters MFCC; hubert@i learns labels@(i-1); kmeans@i clusters features of hubert@i; the units come from
    the last iteration N, so that there are codebooks 0..N, labels 0..N-1 and models 1..N.

    Raises:
        ConfigError: an iteration is missing or too many.
    """
    last = len(sections.get("hubert", {}))
    expected = {"kmeans": range(last + 1), "labels": range(last), "hubert": range(1, last + 1)}
    for name, iterations in expected.items():
        there, wanted = sorted(map(str, sections.get(name, {}))), sorted(map(str, iterations))
        if there != wanted or last == 0:
            raise ConfigError(
                f"{name}: with {last} HuBERT iterations expected the iterations {', '.join(wanted) or '1, …'} "
                f"(codebooks 0..N, labels 0..N-1, models 1..N; N at least 1), got {', '.join(there) or 'none'}"
            )
    rules: dict[tuple[str, str, str], str | int] = {
        ("kmeans", i, "source"): f"hubert/{i}" if int(i) else "manifest" for i in sections["kmeans"]
    }
    rules |= {("hubert", i, "previous"): int(i) - 1 for i in sections["hubert"]}
    for (name, i, field), value in rules.items():
        found = sections[name][i].get(field)
        if found != value:
            raise ConfigError(f"{name}.{i}.{field}: expected {value!r}, got {found!r}; iterations follow each other")
    speech = {"manifest": "outputs/manifest"}
    features: dict[str, Any] = {"0": {"source": "manifest", "inputs": speech}}
    for i in map(str, expected["hubert"]):
        features[i] = {"source": f"hubert/{i}", "inputs": {**speech, "hubert": f"outputs/hubert/{i}"}}
    return {
        "last": str(last),
        **{name: {str(i): features[str(i)] for i in expected[name]} for name in ("kmeans", "labels")},
        **judgement(sections, last=str(last)),
    }


def judgement(sections: Mapping[str, Any], *, last: str) -> dict[str, Any]:
    """Whether the recogniser is trained, from which HuBERT, and how `evaluate` comes by it.

    `recognizer` lists the iteration that it starts from, or nothing where `evaluate.asr.recognizer` names no language:
    then DVC makes no stage of it. `judge.depends` is a path that `evaluate` depends on; without a recogniser one that
    it depends on anyway.
    """
    asked = bool(((sections.get("evaluate") or {}).get("asr") or {}).get("recognizer"))
    folder = "outputs/recognizer"
    judge = {
        "depends": folder if asked else "outputs/translate_test/speech.tsv",
        "inputs": {"recognizer": folder} if asked else {},
    }
    return {"recognizer": [last] if asked else [], "judge": judge}


def validate(params: Mapping[str, Any]) -> None:
    """Build every section with the class of its stage.

    Raises:
        ConfigError: a section is missing or unknown, or a value breaks a rule; all are named.
    """
    from tongyeok import runner  # noqa: PLC0415  imports torch

    known = ["runtime", *(stage.name for stage in STAGES), "flow"]
    problems = [f"section `{name}` is missing: add it to the profile" for name in known if name not in params]
    problems += [f"section `{name}` is unknown: remove it or correct its name" for name in params if name not in known]
    for stage in STAGES:
        if stage.name not in params:
            continue
        values = params[stage.name]
        items = (
            {f"{stage.name}.{i}": value for i, value in values.items()} if stage.per_iteration else {stage.name: values}
        )
        cls = runner.interface(stage).config
        for where, item in items.items():
            try:
                config.build(cls, item, where=where)
            except ConfigError as error:
                problems.append(str(error))
    try:
        config.build(Runtime, params.get("runtime"), where="runtime")
    except ConfigError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError("\n  ".join(["the composed parameters break rules:", *problems]))


def render(params: Mapping[str, Any], *, profile: str, overrides: Sequence[str]) -> str:
    """The text of `params.yaml`: a header that tells how to make it, then the sections in pipeline order."""
    arguments = " ".join([f"--profile {profile}", *overrides])
    return HEADER.format(arguments=arguments) + as_yaml(params)


def as_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in their order, each innermost mapping on a line of its own."""
    return yaml.dump(
        dict(values), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
    )


class _Plain(yaml.SafeDumper):
    """A dumper without anchors: DVC's interpolation and people both read plain values better."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True
