"""HiFi-GAN's losses, and who learns from which."""

import pytest
import torch

from tongyeok import config
from tongyeok.errors import ConfigError
from tongyeok.unit2speech.adversarial import (
    AdversarialConfig,
    Contest,
    discriminator_loss,
    feature_distance,
    generator_loss,
    held,
    split,
)
from tongyeok.unit2speech.clips import Batch
from tongyeok.unit2speech.discriminators import Verdict
from unit.unit2speech.small_hifigan import vocoder

CFG = {
    "discriminator_shrink": 8, "feature_weight": 2.0, "learning_rate_decay": 0.999,
    "mel": {
        "bands": 80, "fft_samples": 1024, "window_samples": 1024, "hop_samples": 256, "low_hz": 0.0, "high_hz": 8000.0,
    },
}  # fmt: skip


def verdict(*scores: float) -> Verdict:
    """One waveform, whose scores are the discriminator's last layer, after a layer of zeros."""
    made = torch.tensor([scores])
    return Verdict(scores=made, features=(torch.zeros(1, 3), made))


def contest() -> Contest:
    cfg = config.build(AdversarialConfig, CFG, where="test")
    return Contest(cfg, mel_weight=45.0, generator=vocoder().generator, products="float32", seed=1)


def batch() -> Batch:
    random = torch.Generator().manual_seed(3)
    return Batch(
        units=torch.randint(0, 10, (2, 14), generator=random),
        dvector=torch.rand(2, 256, generator=random),
        language=torch.tensor([0, 1]),
        samples=0.1 * torch.randn(2, 14 * 320, generator=random),
    )


def test_losses_are_least_squares() -> None:
    """By hand: (1 - real)^2 + made^2 for the judges, (1 - made)^2 for the maker, summed over judges."""
    real, made = [verdict(1.0, 0.5), verdict(0.0)], [verdict(0.0, 1.0), verdict(0.5)]
    assert discriminator_loss(real, made) == pytest.approx((0.125 + 0.5) + (1 + 0.25))
    assert generator_loss(made) == pytest.approx(0.5 + 0.25)
    assert feature_distance(real, made) == pytest.approx((0 + 0.75) + (0 + 0.5))


def test_a_batch_splits_into_real_and_made() -> None:
    """Judging real and made together gives what judging them apart gives, to 1e-6."""
    judges = contest().discriminators.eval()
    real, made = batch().samples, batch().samples.flip(0) * 0.5
    for together, apart in zip(split(judges(torch.cat([real, made])), 2), (judges(real), judges(made)), strict=True):
        for one, other in zip(together, apart, strict=True):
            assert (one.scores - other.scores).abs().max() < 1e-6
            for layer, same in zip(one.features, other.features, strict=True):
                assert (layer - same).abs().max() < 1e-5


def test_each_side_learns_from_its_own_loss() -> None:
    """The judges' loss moves no generator, the speaker's loss moves no judge, and each moves its own side."""
    match = contest()
    generator = match.task("speech", draw=lambda _step: batch(), validate=dict).module
    spoken = [*generator.conditioning.parameters(), *generator.conv_pre.parameters()]
    match.judge(batch()).backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(parameter.grad is not None for parameter in match.discriminators.parameters())
    match.discriminators.zero_grad(set_to_none=True)
    match.speak().backward()
    assert all(parameter.grad is None for parameter in match.discriminators.parameters())
    assert all(parameter.grad is not None for parameter in spoken)
    assert all(parameter.requires_grad for parameter in match.discriminators.parameters())


def test_the_speaker_is_judged_by_the_judges_as_they_are_now() -> None:
    """What the judges learned between the two losses changes the second one, as in the reference's order."""
    losses = []
    for learned in (0.0, 0.1):
        match = contest()
        match.judge(batch())
        with torch.no_grad():
            for parameter in match.discriminators.parameters():
                parameter.add_(learned)
        losses.append(float(match.speak().detach()))
    assert losses[0] != losses[1]


def test_the_total_is_weighed() -> None:
    """The speaker's loss is LSGAN + 2 x features + 45 x mel, each as computed apart."""
    match = contest()
    generator = match.task("speech", draw=lambda _step: batch(), validate=dict).module
    match.judge(batch())
    match.discriminators.eval()
    total = match.speak()
    made = generator(batch().units, batch().dvector, batch().language)
    real_verdicts, made_verdicts = match.discriminators(batch().samples), match.discriminators(made)
    mel = (match.log_mel(made) - match.log_mel(batch().samples)).abs().mean()
    expected = generator_loss(made_verdicts) + 2 * feature_distance(real_verdicts, made_verdicts) + 45 * mel
    assert float(total.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_each_waveform_is_judged_no_more_often_than_needed() -> None:
    """One update: real and made once together for the judges' loss, then each once for the speaker's."""
    match, seen = contest(), []
    match.discriminators.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    match.judge(batch())
    match.speak()
    assert seen == [4, 2, 2]


def test_what_is_held_is_let_go() -> None:
    """A module held still learns again afterwards, also after an error."""
    module = torch.nn.Linear(2, 2)
    with held(module):
        assert not any(parameter.requires_grad for parameter in module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
    with pytest.raises(RuntimeError), held(module):
        module(torch.zeros(3))
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discriminator_shrink": 3}, "discriminator_shrink"),
        ({"feature_weight": -1.0}, r"feature_weight: expected at least 0, got -1\.0"),
        ({"learning_rate_decay": 1.5}, r"learning_rate_decay: expected 0 < factor <= 1, got 1\.5"),
        ({"mel": CFG["mel"] | {"hop_samples": 255}}, "hop_samples: expected 1 to fft_samples .1024. and an even"),
        ({"mel": CFG["mel"] | {"window_samples": 2048}}, "window_samples: expected 1 to fft_samples"),
        ({"mel": CFG["mel"] | {"high_hz": 9000.0}}, "low_hz < high_hz <= 8000, got 0 and 9000"),
        ({"mel": CFG["mel"] | {"bands": 0}}, "bands: expected at least 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    """A value out of range is told with the field, the rule and the value."""
    with pytest.raises(ConfigError, match=message):
        config.build(AdversarialConfig, {**CFG, **change}, where="test")
