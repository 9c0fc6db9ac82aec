"""Comparisons with reference tools, said aloud and kept for the table in docs/ (`python tests/parity/table.py`)."""

from collections.abc import Callable

Record = Callable[[str, object], None]  # pytest's fixture `record_property`


def compared(record: Record, *, tool: str, source: str, result: str) -> None:
    """Say and keep what was compared: the reference's name, the input, and equal bytes or the largest difference."""
    print(f"{tool}: {source}: {result}")
    record("parity", f"{tool}\t{source}\t{result}")
