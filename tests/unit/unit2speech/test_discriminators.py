"""The discriminators: HiFi-GAN's layers, and what each of them looks at."""

import torch
from torch.nn.functional import avg_pool1d, conv1d, leaky_relu, pad

from tongyeok.unit2speech.discriminators import PERIODS, build_discriminators

# Shapes of `weight_v` (`weight_orig` under spectral norm) in a checkpoint of jik876/hifi-gan, `conv_post` last.
PERIOD_SHAPES = [
    (32, 1, 5, 1), (128, 32, 5, 1), (512, 128, 5, 1), (1024, 512, 5, 1), (1024, 1024, 5, 1), (1, 1024, 3, 1),
]  # fmt: skip
SCALE_SHAPES = [
    (128, 1, 15), (128, 32, 41), (256, 8, 41), (512, 16, 41), (1024, 32, 41), (1024, 64, 41), (1024, 1024, 5),
    (1, 1024, 3),
]  # fmt: skip


def noise(samples: int, *, size: int = 2) -> torch.Tensor:
    return torch.randn(size, samples, generator=torch.Generator().manual_seed(1))


def test_weights_are_hifigans() -> None:
    """At full size, every weight has the reference's name and shape: five periods, three scales, 70.7 M weights."""
    with torch.device("meta"):
        made = build_discriminators(shrink=1, seed=1)
    expected = {}
    for family, count, shapes in (("mpd", len(PERIODS), PERIOD_SHAPES), ("msd", 3, SCALE_SHAPES)):
        for number in range(count):
            names = [*(f"convs.{layer}" for layer in range(len(shapes) - 1)), "conv_post"]
            for name, shape in zip(names, shapes, strict=True):
                expected[f"{family}.discriminators.{number}.{name}"] = shape
    weights = {
        name.partition(".parametrizations")[0]: tuple(tensor.shape)
        for name, tensor in made.state_dict().items()
        if name.endswith((".original", ".original1"))
    }
    assert weights == expected
    assert round(sum(parameter.numel() for parameter in made.parameters()) / 1e6, 1) == 70.7


def test_a_period_discriminator_sees_phases_apart() -> None:
    """Each phase of a period is judged by itself: the scores are those of 1-D convolutions over every p-th sample."""
    made = build_discriminators(shrink=8, seed=1)
    samples = noise(1000)
    for period, verdict, judge in zip(PERIODS, made(samples), made.mpd.discriminators, strict=False):
        padded = pad(samples[:, None], (0, -1000 % period), "reflect")
        for phase in range(period):
            x = padded[:, :, phase::period]
            for layer, conv in enumerate(judge.convs):
                x = leaky_relu(conv1d(x, conv.weight[..., 0], conv.bias, 3 if layer < 4 else 1, 2), 0.1)
            x = conv1d(x, judge.conv_post.weight[..., 0], judge.conv_post.bias, padding=1)
            difference = (verdict.scores.unflatten(1, (-1, period))[..., phase] - x[:, 0]).abs().max()
            assert difference < 1e-5, f"period {period}: largest difference {difference}"


def test_scale_discriminators_see_averages() -> None:
    """The second and third scale judge the waveform averaged once and twice."""
    made = build_discriminators(shrink=8, seed=1).eval()
    samples = noise(1000)
    wanted = samples[:, None]
    for verdict, judge in zip(made(samples)[len(PERIODS) :], made.msd.discriminators, strict=True):
        assert torch.equal(verdict.scores, judge(wanted).scores)
        wanted = avg_pool1d(wanted, 4, 2, 2)


def test_features_are_every_layers() -> None:
    """A verdict holds the output of every layer, the scores' layer last."""
    verdicts = build_discriminators(shrink=8, seed=1)(noise(8960))
    assert [len(verdict.features) for verdict in verdicts] == [6] * 5 + [8] * 3
    for verdict in verdicts:
        assert torch.equal(verdict.features[-1].flatten(1), verdict.scores)


def test_the_seed_draws_the_weights() -> None:
    """The same seed gives the same weights, another seed others, and global randomness is left alone."""
    before = torch.random.get_rng_state()
    one, same, other = (build_discriminators(shrink=8, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
