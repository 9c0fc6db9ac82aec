"""Exporting one language; that fairseq speaks the same is held in tests/parity/test_hifigan.py."""

import json
from pathlib import Path

import pytest
import torch

from tongyeok.errors import CheckpointError
from tongyeok.unit2speech.export import export
from unit.evaluation import world
from unit.unit2speech.small_hifigan import SOURCE, vocoder


def test_the_same_vocoder_gives_the_same_bytes(tmp_path: Path) -> None:
    """Exported twice, the files are the same; another language is another checkpoint; the vocoder stays as it was."""
    made = vocoder()
    before = {name: tensor.clone() for name, tensor in made.generator.state_dict().items()}
    for name, lang in (("a", "ko"), ("b", "ko"), ("c", "en")):
        export(made, lang=lang, outputs=tmp_path / name)
    for file in ("model.pt", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert (tmp_path / "a" / file).read_bytes() != (tmp_path / "c" / file).read_bytes()
    assert all(torch.equal(before[name], tensor) for name, tensor in made.generator.state_dict().items())


def test_it_says_where_it_comes_from(tmp_path: Path) -> None:
    """The JSON names the language and the codebook, beside fairseq's own keys."""
    export(vocoder(), lang="ko", outputs=tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["tongyeok"]["language"] == "ko"
    assert values["tongyeok"]["source"]["codebook"] == SOURCE.codebook
    assert values["num_embeddings"] == SOURCE.clusters


def test_it_loads_without_code(tmp_path: Path) -> None:
    """The checkpoint is tensors by name and nothing else, with the legacy names of weight normalisation."""
    export(vocoder(), lang="ko", outputs=tmp_path)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert list(state) == ["generator"]
    assert {"conv_pre.weight_g", "conv_pre.weight_v", "dict.weight", "spkr.bias"} <= set(state["generator"])
    assert not [name for name in state["generator"] if "language" in name or "parametrizations" in name]


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    """A language that was not trained, and a head that fairseq does not have, are refused."""
    with pytest.raises(CheckpointError, match="this vocoder speaks en, ko, not 'fr'"):
        export(vocoder(), lang="fr", outputs=tmp_path)
    with pytest.raises(CheckpointError, match="expected a vocoder with head hifigan, got fourier"):
        export(world.vocoder(), lang="ko", outputs=tmp_path)
