"""The command line as text; `python tests/architecture/cli.py` writes it to `cli.txt`, which a test compares."""

import argparse
import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path

from tongyeok import runner
from tongyeok.registry import STAGES, VERBS

FROZEN = Path(__file__).with_name("cli.txt")


def describe() -> str:
    """One line per stage, verb and sub-command with its arguments; optional ones in brackets."""
    lines = []
    for stage in STAGES:
        name = f"{stage.name}@<i>" if stage.per_iteration else stage.name
        fields = dataclasses.fields(runner.interface(stage).inputs)
        flags = [
            f"--{field.name.replace('_', '-')}" if field.default is dataclasses.MISSING else f"[--{field.name}]"
            for field in fields
        ]
        lines.append(" ".join([name, *flags, "--outputs [--params] [--set]", *["[--on]"] * stage.sharded]))
    for verb in VERBS:
        parser = argparse.ArgumentParser(add_help=False)
        importlib.import_module(verb.module).configure(parser)
        lines += _describe(verb.name, parser)
    return "\n".join(lines) + "\n"


def _describe(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """The arguments of a verb, or those of each of its sub-commands."""
    shown = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, inner in action.choices.items():
                yield from _describe(f"{name} {command}", inner)
            return
        if isinstance(action, argparse._HelpAction):
            continue
        word = action.option_strings[-1] if action.option_strings else action.dest
        shown.append(word if action.required else f"[{word}]")
    yield " ".join([name, *shown])


if __name__ == "__main__":
    FROZEN.write_text(describe(), encoding="utf-8")
