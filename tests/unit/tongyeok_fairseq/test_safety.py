"""fairseq checkpoints are loaded without running code from them."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from tongyeok.errors import CheckpointError
from tongyeok_fairseq import safety


class Malicious:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        """Aim at `path`."""
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """What pickle calls."""
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[(96,20,10)]", [(96, 20, 10)]),
        ("[(96,20,10)] + [(96,3,2)]*2", [(96, 20, 10), (96, 3, 2), (96, 3, 2)]),
        (" [ (1, 2,3) ,(4,5,6)] * 2+[(7,8,9),]", [(1, 2, 3), (4, 5, 6), (1, 2, 3), (4, 5, 6), (7, 8, 9)]),
        ("[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2", [(512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2]),
    ],
)
def test_convolutions_are_parsed_as_python_would_evaluate_them(text: str, expected: list[tuple[int, int, int]]) -> None:
    """The grammar reads what fairseq's configurations contain, to the same list as `eval`."""
    assert safety.parse_conv_layers(text) == expected == eval(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[(1,2)]",
        "[(1,2,3)] - [(1,2,3)]",
        "[(1,2,3)] +",
        "[(1,2,3)] * 1000000000",
        "__import__('os').system('true')",
        "[(1,2,3)] + __import__('os').listdir()",
        "[(1,2,3)] if exit() else 0",
        "[(1,2,-3)]",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """Whatever is not a sum of repeated lists of triples is a CheckpointError, evaluated by nobody."""
    with pytest.raises(CheckpointError, match="conv_feature_layers: expected"):
        safety.parse_conv_layers(text)


@pytest.mark.parametrize(
    "cfg",
    [
        {"model": {"conv_feature_layers": "__import__('os').abort()"}},
        {"model": {"w2v_args": {"model": {"conv_feature_layers": "exit()"}}}},
        {"optimizer": {"adam_betas": "exit()"}},
        {"model": {"layers": [{"conv_aggregator_layers": "exit()"}]}},
    ],
)
def test_a_checkpoint_whose_configuration_is_code_is_refused(cfg: dict[str, Any], tmp_path: Path) -> None:
    """A tensor-only file can still carry code in the strings that fairseq evaluates, however deep."""
    path = tmp_path / "checkpoint.pt"
    torch.save({"model": {}, "cfg": cfg}, path)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: configuration `\w+` would be run as code: "):
        safety.load_checkpoint(path)


def test_harmless_configuration_passes(tmp_path: Path) -> None:
    """Literals in the places that fairseq evaluates are what its own checkpoints hold."""
    path = tmp_path / "checkpoint.pt"
    cfg = {"optimizer": {"adam_betas": "(0.9, 0.98)"}, "model": {"conv_feature_layers": "[(8,320,320)]", "x": None}}
    torch.save({"model": {"weight": torch.ones(2)}, "cfg": cfg}, path)
    assert torch.equal(safety.load_checkpoint(path)["model"]["weight"], torch.ones(2))


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path) -> None:
    """An object outside the allow-list is not built, and the message names the file."""
    path, trace = tmp_path / "checkpoint.pt", tmp_path / "trace"
    torch.save({"model": {}, "extra": Malicious(trace)}, path)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: not a fairseq checkpoint that loads safely"):
        safety.load_checkpoint(path)
    assert not trace.exists()
    path.write_bytes(pickle.dumps(Malicious(trace)))
    with pytest.raises(CheckpointError, match="not a fairseq checkpoint that loads safely"):
        safety.load_checkpoint(path)
    assert not trace.exists()


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    """A missing file and a file of something else get a message of their own."""
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        safety.load_checkpoint(tmp_path / "none.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="expected a fairseq checkpoint with the key `model`, got list"):
        safety.load_checkpoint(tmp_path / "list.pt")
