"""Run fairseq's own scripts as they lie in the installed package, with arguments, in this process."""

import runpy
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


def script(*parts: str) -> Path:
    """A file of fairseq's `examples`."""
    spec = find_spec("fairseq")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath("examples", *parts)


def run(path: Path, *arguments: object) -> None:
    """Run a script as `python path arguments…` would, with its folder on the path; files it leaves open are its own."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ResourceWarning)
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        patch.syspath_prepend(str(path.parent))
        runpy.run_path(str(path), run_name="__main__")


class GrowingArray:
    """Stands in for the package npy_append_array, which is not installed: an array file that grows by `append`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end."""
        before = [np.load(self.path)] if Path(self.path).is_file() else []
        np.save(self.path, np.concatenate([*before, rows]))


def with_growing_arrays(patch: pytest.MonkeyPatch) -> None:
    """`from npy_append_array import NpyAppendArray` gives the stand-in."""
    module = ModuleType("npy_append_array")
    module.NpyAppendArray = GrowingArray  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "npy_append_array", module)
