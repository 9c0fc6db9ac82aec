"""The HiFi-GAN generator is fairseq's, and fairseq's `CodeHiFiGANVocoder` speaks what is exported to it."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from parity.record import Record, compared
from tongyeok.base.units import run_lengths
from tongyeok.unit2speech.export import export, fairseq_state
from tongyeok.unit2speech.reference_config import reference_of
from tongyeok.unit2speech.synthesis import UnitVocoder, build_generator
from unit.unit2speech.small_hifigan import dimensions, vocoder

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")  # fairseq

UNITS = np.array([3, 3, 3, 7, 7, 1, 1, 1, 1, 9, 0, 0], dtype=np.int32)
DVECTOR = np.random.default_rng(1).random(256).astype(np.float32)
DVECTOR /= np.linalg.norm(DVECTOR)


def theirs(folder: Path) -> Any:
    """fairseq's vocoder of an exported folder."""
    importlib.import_module("tongyeok_fairseq")
    from fairseq.models.text_to_speech.vocoder import CodeHiFiGANVocoder

    values = json.loads((folder / "config.json").read_text())
    return CodeHiFiGANVocoder(str(folder / "model.pt"), values)


def said(model: Any, units: np.ndarray, *, predict: bool) -> np.ndarray:
    """What fairseq says: float32 samples."""
    sentence = {
        "code": torch.from_numpy(units.astype(np.int64))[None],
        "spkr": torch.from_numpy(DVECTOR)[None, None],
    }
    if not model.model.multispkr:
        del sentence["spkr"]
    return model(sentence, dur_prediction=predict).numpy()


def ours(made: UnitVocoder, units: np.ndarray, *, lang: str, predict: bool) -> np.ndarray:
    return made.synthesise(units, dvector=DVECTOR, lang=lang, predict_durations=predict)


def test_weights_are_fairseqs_at_full_size(record_property: Record) -> None:
    """At AV2AV's dimensions, names and shapes of the exported weights are those of fairseq's `CodeGenerator`."""
    importlib.import_module("tongyeok_fairseq")
    from fairseq.models.text_to_speech.codehifigan import CodeGenerator

    cfg = dimensions(initial_channels=512)
    made = fairseq_state(build_generator(cfg, clusters=1000, languages=3, seed=1), language=0)
    expected = CodeGenerator(reference_of(cfg, clusters=1000)).state_dict()
    assert {name: tensor.shape for name, tensor in made.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    compared(
        record_property,
        tool="fairseq's `CodeGenerator` of AV2AV's size",
        source="exported weights, 1,000 units",
        result=f"names and shapes of {len(expected)} tensors equal",
    )


def test_the_generator_is_fairseqs(record_property: Record) -> None:
    """Given the same weights, the waveform is that of fairseq's `Generator`, to 1e-6 of full scale."""
    importlib.import_module("tongyeok_fairseq")
    from fairseq.models.text_to_speech.hifigan import Generator

    made = vocoder()
    state = fairseq_state(made.generator, language=0)
    reference = Generator(reference_of(made.cfg, clusters=10))
    reference.load_state_dict({name: state[name] for name in reference.state_dict()})
    frames = torch.randn(2, 20, 256, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        difference = (made.generator.decode(frames) - reference(frames.transpose(1, 2))[:, 0]).abs().max()
    compared(
        record_property,
        tool="fairseq's HiFi-GAN `Generator`",
        source="20 random frames twice, the same weights",
        result=f"largest difference {difference:.1e} of full scale",
    )
    assert difference < 1e-6, f"largest difference {difference}"


@pytest.mark.parametrize(("lang", "channels"), [("en", 32), ("ko", 32), ("ko", 512)])
def test_fairseq_speaks_the_exported_language(
    tmp_path: Path, lang: str, channels: int, record_property: Record
) -> None:
    """Of the same units and d-vector, fairseq's waveform equals ours to 1e-6, with and without duration prediction."""
    made = vocoder(initial_channels=channels)
    export(made, lang=lang, outputs=tmp_path)
    model = theirs(tmp_path)
    codes, _ = run_lengths(UNITS)
    for units, predict in ((UNITS, False), (codes, True)):
        expected, got = said(model, units, predict=predict), ours(made, units, lang=lang, predict=predict)
        assert got.shape == expected.shape
        assert expected.std() > 1e-3
        difference = np.abs(got - expected).max()
        compared(
            record_property,
            tool="fairseq's `CodeHiFiGANVocoder`",
            source=f"an export of {channels} channels, {lang}, {'predicted' if predict else 'true'} durations",
            result=f"largest difference {difference:.1e} of full scale",
        )
        assert difference < 1e-6, f"largest difference {difference}"


def test_repeats_double_the_speech_in_fairseq_and_not_here(tmp_path: Path) -> None:
    """Of units that last two frames each, fairseq makes speech twice as long as it was; our door drops the repeats."""
    made = vocoder()
    with torch.no_grad():
        made.generator.durations.proj.weight.zero_()
        made.generator.durations.proj.bias.fill_(np.log(3))  # log(frames + 1)
    export(made, lang="ko", outputs=tmp_path)
    codes, _ = run_lengths(UNITS)
    units = np.repeat(codes, 2)
    true = units.size * 320
    assert said(theirs(tmp_path), units, predict=True).size == 2 * true
    assert ours(made, units, lang="ko", predict=True).size == true


def test_fairseqs_script_speaks_an_exported_voice(tmp_path: Path, record_property: Record) -> None:
    """`generate_waveform_from_code.py --dur-prediction` on an export with a voice writes our waveform, to 16 bits."""
    import fairseq

    script = Path(fairseq.__file__).parent / "examples" / "speech_to_speech" / "generate_waveform_from_code.py"
    made = vocoder()
    export(made, lang="ko", outputs=tmp_path, voice=DVECTOR)
    codes, _ = run_lengths(UNITS)
    (tmp_path / "codes.unit").write_text(" ".join(map(str, codes.tolist())) + "\n")
    words = ["--in-code-file", tmp_path / "codes.unit", "--vocoder", tmp_path / "model.pt", "--vocoder-cfg"]
    words += [tmp_path / "config.json", "--results-path", tmp_path / "out", "--dur-prediction", "--cpu"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    written, rate = soundfile.read(tmp_path / "out" / "0_pred.wav", dtype="float32")
    expected = ours(made, UNITS, lang="ko", predict=True)
    assert rate == 16_000
    assert written.shape == expected.shape
    difference = np.abs(written - expected).max()
    compared(
        record_property,
        tool="fairseq's `generate_waveform_from_code.py`",
        source="an export with one voice, 16-bit WAV",
        result=f"largest difference {difference * 32768:.2f} steps of 16 bits",
    )
    assert difference <= 1 / 32768, f"largest difference {difference}"
