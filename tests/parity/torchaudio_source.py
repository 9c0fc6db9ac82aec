"""torchaudio as far as fairseq's scripts use it, from the Python source of the installed package.

Its binary does not load beside this torch: `functional.create_dct` and `functional.compute_deltas` come from its
functional.py, `compliance.kaldi` from compliance/kaldi.py. `info` tells what libsndfile tells; `sox_effects` is empty,
for recordings that need no conversion.
"""

import ast
import importlib.util
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Optional

import soundfile
import torch
from torch import Tensor


@contextmanager
def shim(*, dtype: torch.dtype | None = None) -> Iterator[ModuleType]:
    """`import torchaudio` gives the shim inside this context; its MFCC are computed in `dtype`, if given."""
    package = _package()
    source = package / "functional" / "functional.py"
    wanted = {"create_dct", "compute_deltas"}
    tree = ast.parse(source.read_text(encoding="utf-8"))
    body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    functional: dict[str, object] = {"math": math, "torch": torch, "Tensor": Tensor, "Optional": Optional}
    exec(compile(ast.Module(body, []), str(source), "exec"), functional)
    module = ModuleType("torchaudio")
    module.functional = SimpleNamespace(**{name: functional[name] for name in wanted})  # type: ignore[attr-defined]
    module.info = _info  # type: ignore[attr-defined]
    module.sox_effects = ModuleType("torchaudio.sox_effects")  # type: ignore[attr-defined]
    names = {"torchaudio": module, "torchaudio.sox_effects": module.sox_effects}
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(names)
    try:
        spec = importlib.util.spec_from_file_location("kaldi_source", package / "compliance" / "kaldi.py")
        assert spec is not None
        assert spec.loader is not None
        kaldi = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(kaldi)
        if dtype is not None:
            compute = kaldi.mfcc
            kaldi.mfcc = lambda waveform, **options: compute(waveform=waveform.to(dtype), **options)
        module.compliance = SimpleNamespace(kaldi=kaldi)  # type: ignore[attr-defined]
        yield module
    finally:
        for name, original in before.items():
            del sys.modules[name]
            if original is not None:
                sys.modules[name] = original


def _info(path: str) -> SimpleNamespace:
    found = soundfile.info(path)
    return SimpleNamespace(num_frames=found.frames, sample_rate=found.samplerate)


def _package() -> Path:
    spec = importlib.util.find_spec("torchaudio")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])
