"""The JSON of AV2AV and fairseq, and the section `vocoder`."""

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from tongyeok import config
from tongyeok.errors import ConfigError
from tongyeok.unit2speech.reference_config import read_reference, reference_of, section_of
from tongyeok.unit2speech.vocoder import VocoderConfig
from unit.unit2speech.small_hifigan import dimensions

CONF = Path(__file__).parents[3] / "conf" / "vocoder"
AV2AV = {  # unit2av/config.json of choijeongsoo/av2av
    "resblock": "1", "num_gpus": 0, "batch_size": 16, "learning_rate": 0.0002, "adam_b1": 0.8, "adam_b2": 0.99,
    "lr_decay": 0.999, "seed": 1234, "upsample_rates": [5, 4, 4, 2, 2], "upsample_kernel_sizes": [11, 8, 8, 4, 4],
    "upsample_initial_channel": 512, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "num_embeddings": 1000, "embedding_dim": 128,
    "model_in_dim": 256, "multispkr": True, "embedder_params": True, "embedder_dim": 256, "segment_size": 8960,
    "code_hop_size": 320, "f0": False, "num_mels": 80, "num_freq": 1025, "n_fft": 1024, "hop_size": 256,
    "win_size": 1024, "dur_prediction_weight": 1.0,
    "dur_predictor_params": {
        "encoder_embed_dim": 128, "var_pred_hidden_dim": 128, "var_pred_kernel_size": 3, "var_pred_dropout": 0.5,
    },
    "sampling_rate": 16000, "fmin": 0, "fmax": 8000, "fmax_for_loss": None, "num_workers": 4,
    "dist_config": {"dist_backend": "nccl", "dist_url": "env://"},
}  # fmt: skip


def section(profile: str) -> VocoderConfig:
    values = yaml.safe_load((CONF / f"{profile}.yaml").read_text(encoding="utf-8"))
    return config.build(VocoderConfig, values, where=profile)


def other() -> VocoderConfig:
    """A section that differs from AV2AV's in everything that its JSON speaks of."""
    values = yaml.safe_load((CONF / "paper.yaml").read_text(encoding="utf-8"))
    values["generator"] = json.loads(json.dumps(dataclasses.asdict(dimensions(duration_dropout=0.1))))
    values["generator"] |= {"upsample_rates": [8, 5, 4, 2], "upsample_kernels": [16, 11, 8, 4]}
    values["generator"] |= {"resblock_kernels": [3], "resblock_dilations": [[1, 1, 1]]}
    values["adversarial"]["learning_rate_decay"] = 0.5
    values["adversarial"]["mel"] = {
        "bands": 40, "fft_samples": 512, "window_samples": 400, "hop_samples": 128, "low_hz": 9.0, "high_hz": 4000.0,
    }  # fmt: skip
    values |= {"segment_frames": 64, "batch_segments": 3, "learning_rate": 1.0, "duration_learning_rate": 1.0}
    return config.build(VocoderConfig, values, where="other")


def test_the_paper_profile_is_av2avs() -> None:
    """All that AV2AV's JSON says, put over a section that says otherwise, gives conf/vocoder/paper.yaml."""
    made = section_of({**AV2AV, "seed": 1}, rest=other(), where="AV2AV")
    assert made == section("paper")
    assert made.segment_frames * 320 == 8960
    assert made.mel_weight == 45
    assert made.clip_norm is None


def test_a_file_is_read(tmp_path: Path) -> None:
    """A JSON file gives what its values give, the seed among them."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(AV2AV))
    assert read_reference(path, rest=other()) == dataclasses.replace(section("paper"), seed=1234)


def test_what_is_written_is_understood() -> None:
    """The JSON written for fairseq gives back the generator that it was written for."""
    cfg = dimensions(duration_dropout=0.3)
    written = json.loads(json.dumps(reference_of(cfg, clusters=10)))
    assert section_of(written, rest=section("paper"), where="test").generator == cfg


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"upsample_rates": [8, 8, 2, 2]}, r"a product of 320, since units come 50 times a second.*product 256"),
        ({"hop_length": 256}, r"hop_length: expected 320, the samples of one unit .*got 256, which cannot work with"),
        ({"code_hop_size": 256}, "code_hop_size: expected 320, got 256"),
        ({"sampling_rate": 22050}, "sampling_rate: expected 16000, got 22050; it is not adjustable"),
        ({"resblock": "2"}, "resblock: expected '1', got '2'"),
        ({"f0": True}, "f0: expected False, got True"),
        ({"adam_b1": 0.9}, r"adam_b1: expected 0\.8, got 0\.9"),
        ({"dur_predictor_params": {"var_pred_kernel_size": 5}}, "var_pred_kernel_size: expected 3, got 5"),
        ({"segment_size": 9000}, "segment_size: expected a multiple of 320 samples .*got 9000; take 8960"),
        ({"lambda_commit": 0.02}, "`lambda_commit` has no meaning for this vocoder; remove it"),
        ({"upsample_kernel_sizes": [16, 16, 4, 4]}, "one for each of 5 upsample_rates, got 4"),
        ({"batch_size": "16"}, "batch_segments"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, object], message: str) -> None:
    """A hop other than 320, an unknown key or a value of another model is refused with the reason and the file."""
    with pytest.raises(ConfigError, match=f"guide.json: .*{message}"):
        section_of({**AV2AV, **change}, rest=section("paper"), where="guide.json")


def test_the_mels_own_hop_is_no_mistake() -> None:
    """`hop_size` 256 is the mel loss's and stays; `hop_length` 320 says what is true."""
    made = section_of({**AV2AV, "hop_length": 320}, rest=other(), where="test")
    assert made.adversarial is not None
    assert made.adversarial.mel.hop_samples == 256


def test_a_section_of_another_head_is_refused() -> None:
    """A Fourier section has no place for what the JSON says."""
    with pytest.raises(ConfigError, match="expected a HiFi-GAN section to fill, got head fourier; take `paper`"):
        section_of(AV2AV, rest=section("demo"), where="test")


@pytest.mark.parametrize("text", [None, "not json", "[1]"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str | None) -> None:
    """A missing file, text that is not JSON, and JSON that is no object are named."""
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json: expected (the JSON|a JSON object)"):
        read_reference(path, rest=section("paper"))
