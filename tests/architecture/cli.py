"""The command line as text; `python tests/architecture/cli.py` writes it to `cli.txt`, which a test compares."""

import argparse
import dataclasses
import importlib
from pathlib import Path

from tongyeok import runner
from tongyeok.registry import STAGES, VERBS

FROZEN = Path(__file__).with_name("cli.txt")


def describe() -> str:
    """One line per stage and verb with its arguments; optional ones in brackets."""
    lines = []
    for stage in STAGES:
        name = f"{stage.name}@<i>" if stage.per_iteration else stage.name
        fields = dataclasses.fields(runner.interface(stage).inputs)
        flags = [
            f"--{field.name.replace('_', '-')}" if field.default is dataclasses.MISSING else f"[--{field.name}]"
            for field in fields
        ]
        lines.append(" ".join([name, *flags, "--outputs [--params] [--set]"]))
    for verb in VERBS:
        parser = argparse.ArgumentParser(add_help=False)
        importlib.import_module(verb.module).configure(parser)
        words = [action.option_strings[-1] if action.option_strings else action.dest for action in parser._actions]
        needed = [action.required for action in parser._actions]
        shown = [word if must else f"[{word}]" for word, must in zip(words, needed, strict=True)]
        lines.append(" ".join([verb.name, *shown]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FROZEN.write_text(describe(), encoding="utf-8")
