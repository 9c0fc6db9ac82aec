"""The verb `export`."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tongyeok.__main__ import main
from unit.unit2speech.small_hifigan import vocoder


def test_a_language_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checkpoint and JSON lie in the folder, and the message says so."""
    vocoder().save(tmp_path / "vocoder")
    words = ["export", "vocoder", "--vocoder", str(tmp_path / "vocoder"), "--outputs", str(tmp_path / "out")]
    assert main([*words, "--lang", "ko"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.pt"]
    assert "config.json: ko, for CodeHiFiGANVocoder" in capsys.readouterr().out


def test_a_voice_is_put_in(tmp_path: Path) -> None:
    """With a recording of a voice, the exported model takes no speaker."""
    vocoder().save(tmp_path / "vocoder")
    tone = 0.1 * np.sin(2 * np.pi * 200 * np.arange(32_000) / 16_000)
    soundfile.write(tmp_path / "voice.wav", tone, 16_000)
    words = ["export", "vocoder", "--vocoder", str(tmp_path / "vocoder"), "--outputs", str(tmp_path / "out")]
    assert main([*words, "--lang", "ko", "--voice", str(tmp_path / "voice.wav")]) == 0
    state = torch.load(tmp_path / "out" / "model.pt", weights_only=True)["generator"]
    assert state["dict.weight"].shape == (10, 256)
    assert not [name for name in state if name.startswith("spkr")]


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a vocoder and an unknown language give one message and status 2."""
    words = ["export", "vocoder", "--vocoder", str(tmp_path), "--outputs", str(tmp_path / "out")]
    assert main([*words, "--lang", "ko"]) == 2
    assert "not a vocoder that can be used" in capsys.readouterr().err
    vocoder().save(tmp_path)
    assert main([*words, "--lang", "fr"]) == 2
    assert "this vocoder speaks en, ko, not 'fr'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
