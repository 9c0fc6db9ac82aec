"""MFCC equal those of fairseq's dump_mfcc_feature.py, that is, of torchaudio's Python source.

torchaudio's binary does not load beside this torch, so its two Python files are read from the installed package and run
with a shim in place of the package: `functional.create_dct` and `functional.compute_deltas` from its functional.py, all
else from compliance/kaldi.py.
"""

import ast
import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Optional

import numpy as np
import pytest
import torch
from torch import Tensor

from tongyeok.speech2unit.mfcc import DIM, mfcc

TOLERANCE = 5e-4  # absolute, on coefficients of magnitude up to 100, both sides float32
Reference = Callable[[np.ndarray, torch.dtype], np.ndarray]


def _package() -> Path:
    spec = importlib.util.find_spec("torchaudio")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


@pytest.fixture(scope="module")
def reference() -> Reference:
    """The body of fairseq's `MfccFeatureReader.get_feats`, on torchaudio's Python source."""
    package = _package()
    source = package / "functional" / "functional.py"
    wanted = {"create_dct", "compute_deltas"}
    tree = ast.parse(source.read_text(encoding="utf-8"))
    body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    functional: dict[str, object] = {"math": math, "torch": torch, "Tensor": Tensor, "Optional": Optional}
    exec(compile(ast.Module(body, []), str(source), "exec"), functional)
    shim = ModuleType("torchaudio")
    shim.functional = SimpleNamespace(**{name: functional[name] for name in wanted})  # type: ignore[attr-defined]
    before = sys.modules.get("torchaudio")
    sys.modules["torchaudio"] = shim
    try:
        spec = importlib.util.spec_from_file_location("kaldi_source", package / "compliance" / "kaldi.py")
        assert spec is not None
        assert spec.loader is not None
        kaldi = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(kaldi)
    finally:
        del sys.modules["torchaudio"]
        if before is not None:
            sys.modules["torchaudio"] = before
    compute_deltas = shim.functional.compute_deltas

    def get_feats(samples: np.ndarray, dtype: torch.dtype) -> np.ndarray:
        x = torch.from_numpy(samples).to(dtype).view(1, -1)
        mfccs = kaldi.mfcc(waveform=x, sample_frequency=16000, use_energy=False)
        mfccs = mfccs.transpose(0, 1)
        deltas = compute_deltas(mfccs)
        ddeltas = compute_deltas(deltas)
        return torch.cat([mfccs, deltas, ddeltas], dim=0).transpose(0, 1).contiguous().numpy()

    return get_feats


def _recordings() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    seconds = np.arange(40_000) / 16_000
    glide = sum(np.sin(2 * np.pi * k * (120 + 30 * seconds) * seconds) / k for k in range(1, 30))
    speechlike = 0.1 * glide * (1 + np.sin(2 * np.pi * 4 * seconds)) + 0.002 * rng.standard_normal(seconds.size)
    recordings = {
        "speechlike": speechlike,
        "noise": 0.1 * rng.standard_normal(48_000),
        "quiet": 1e-4 * rng.standard_normal(16_000),
        "silence": np.zeros(16_000),
        "clipped": np.clip(3 * speechlike, -1, 1),
        "one frame": 0.1 * rng.standard_normal(400),
        "two frames": 0.1 * rng.standard_normal(719),
    }
    return {name: (np.round(32768 * x) / 32768).astype(np.float32) for name, x in recordings.items()}


@pytest.mark.parametrize(("name", "samples"), _recordings().items(), ids=_recordings())
def test_mfcc_equal_torchaudios_source(name: str, samples: np.ndarray, reference: Reference) -> None:
    """Same number of frames, and every coefficient and slope within the tolerance."""
    ours, theirs = mfcc(samples), reference(samples, torch.float32)
    assert ours.shape == theirs.shape
    assert ours.shape[1] == DIM
    largest = float(np.abs(ours - theirs).max())
    exact = float(np.abs(theirs - reference(samples, torch.float64)).max())
    print(f"{name}: largest difference {largest:.2e}; the reference itself is {exact:.2e} from its float64 value")
    assert largest < TOLERANCE
