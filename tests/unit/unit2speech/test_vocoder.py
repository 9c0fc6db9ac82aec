"""unit2speech/vocoder.py: its rules; training itself is held in tests/invariants/test_vocoder.py."""

from pathlib import Path

import pytest
import yaml

from tongyeok import config
from tongyeok.base.manifests import Manifest
from tongyeok.errors import ConfigError, ManifestError
from tongyeok.unit2speech import vocoder

CONF = Path(__file__).parents[3] / "conf" / "vocoder"


def listed(*utts: str) -> Manifest:
    return Manifest(root=Path(), utts=utts, locations=utts, samples=(320,) * len(utts))


def test_languages_are_those_of_all_splits_sorted() -> None:
    """A language that only one split has counts, and the order does not depend on the manifests'."""
    manifests = {"train": listed("k", "e"), "valid": listed("f")}
    assert vocoder.languages_of(manifests, {"k": "ko", "e": "en", "f": "fr"}) == ("en", "fr", "ko")


def test_an_empty_split_is_named() -> None:
    """A split without utterances says which and what to change."""
    with pytest.raises(
        ManifestError, match=r"valid\.tsv: expected at least one utterance, got none; change the shares"
    ):
        vocoder.languages_of({"train": listed("k"), "valid": listed()}, {"k": "ko"})


def test_a_stranger_to_the_corpus_is_named() -> None:
    """An utterance that the corpus does not have is named with its split."""
    with pytest.raises(ManifestError, match=r"train\.tsv: x is not in the corpus; rebuild `manifest`"):
        vocoder.languages_of({"train": listed("k", "x")}, {"k": "ko"})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("updates", 0, "updates: expected at least 1, got 0"),
        ("clip_norm", 0.0, r"clip_norm: expected more than 0, got 0\.0"),
        ("weight_decay", -0.1, r"weight_decay: expected at least 0, got -0\.1"),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: float, message: str) -> None:
    """A rule that a field breaks is told with the field, the rule and the value."""
    values = yaml.safe_load((CONF / "demo.yaml").read_text(encoding="utf-8")) | {field: value}
    with pytest.raises(ConfigError, match=message):
        config.build(vocoder.VocoderConfig, values, where="conf/vocoder/demo.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"magnitude_weight": 0.5}, r"magnitude_weight: expected 0 with `adversarial`.*got 0\.5"),
        ({"segment_frames": 1}, "segment_frames: expected more than 1 for a mel of 1024 samples, got 1"),
        ({"generator": {"head": "wavenet"}}, "field `generator`.*'fourier', 'hifigan'"),
        ({"generator": {"head": "hifigan"}}, "field `generator.hifigan.upsample_rates` is missing"),
    ],
)
def test_adversarial_training_has_rules_of_its_own(change: dict[str, object], message: str) -> None:
    """Losses that HiFi-GAN does not have, segments too short for its mels and unknown heads are refused."""
    values = yaml.safe_load((CONF / "paper.yaml").read_text(encoding="utf-8")) | change
    with pytest.raises(ConfigError, match=message):
        config.build(vocoder.VocoderConfig, values, where="conf/vocoder/paper.yaml")


def test_the_paper_learns_as_hifigan_does() -> None:
    """The paper profile's rate is 2e-4 x 0.999 for every pass over the training utterances."""
    values = yaml.safe_load((CONF / "paper.yaml").read_text(encoding="utf-8"))
    cfg = config.build(vocoder.VocoderConfig, values, where="conf/vocoder/paper.yaml")
    schedule = vocoder.speech_schedule(cfg, clips=1600)
    assert [schedule.rate(step) for step in (0, 99, 100, 200)] == pytest.approx([2e-4, 2e-4, 1.998e-4, 1.996002e-4])
    assert vocoder.duration_schedule(cfg).decay is None
