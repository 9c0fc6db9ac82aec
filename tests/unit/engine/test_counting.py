"""What one step keeps and computes, against sums by hand, and the kernels that stand for a GPU's."""

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from tongyeok.engine.counting import Step, count_step

ROWS, WIDTH, INNER = 32, 16, 48


def test_a_product_keeps_its_input_and_counts_both_passes() -> None:
    """Two layers: inputs of each are kept, weights are not; the first has no gradient towards its input."""
    layers = nn.Sequential(nn.Linear(WIDTH, INNER), nn.Linear(INNER, 1))
    x = torch.randn(ROWS, WIDTH)
    step = count_step(lambda: layers(x).sum(), layers)
    first, second = 2 * ROWS * WIDTH * INNER, 2 * ROWS * INNER
    assert step == Step(
        parameters=WIDTH * INNER + INNER + INNER + 1,
        kept_bytes=4 * ROWS * (WIDTH + INNER),
        flops=2 * first + 3 * second,
    )


def test_empty_tensors_count_as_real_ones() -> None:
    """The same step on fake tensors gives the same figures."""

    def step() -> Step:
        layers = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.LayerNorm(INNER), nn.Dropout(0.1))
        x = torch.zeros(ROWS, WIDTH)
        return count_step(lambda: layers(x).sum(), layers)

    with FakeTensorMode():
        fake = step()
    assert fake == step()


def test_dropout_keeps_a_byte_an_element() -> None:
    """As the kernel of GPUs does, where CPUs keep a float32."""
    layer = nn.Dropout(0.1)
    x = torch.zeros(ROWS, WIDTH, requires_grad=True)
    assert count_step(lambda: layer(x).sum()).kept_bytes == ROWS * WIDTH


def test_attention_keeps_no_matrix() -> None:
    """Query, key, value, result and a float32 a row are kept, whatever the length of the rows."""
    heads, steps, channels = 2, 64, 8
    with FakeTensorMode():
        sides = [torch.zeros(1, heads, steps, channels, requires_grad=True) for _ in range(3)]

        def loss() -> Tensor:
            return functional.scaled_dot_product_attention(*sides, dropout_p=0.1).sum()

        step = count_step(loss)
    state = 16  # the random generator's, for the dropout of the backward pass
    assert step.kept_bytes == 4 * heads * steps * (4 * channels + 1) + state
    assert step.flops == (2 + 5) * 2 * heads * steps**2 * channels


def test_a_grouped_convolution_costs_as_much_backward() -> None:
    """Both gradients take the operations of the forward pass, grouped or not."""
    layer = nn.Conv1d(WIDTH, INNER, kernel_size=5, groups=4)
    x = torch.zeros(2, WIDTH, ROWS, requires_grad=True)
    forward = 2 * 2 * (WIDTH // 4) * INNER * 5 * (ROWS - 4)
    assert count_step(lambda: layer(x).sum(), layer).flops == 3 * forward


def test_torchs_functions_are_as_before_afterwards() -> None:
    """Counting leaves attention, dropout and layer norm alone."""
    before = functional.dropout, functional.layer_norm, functional.scaled_dot_product_attention
    layer = nn.Linear(WIDTH, INNER)
    count_step(lambda: layer(torch.zeros(ROWS, WIDTH)).sum(), layer)
    assert before == (functional.dropout, functional.layer_norm, functional.scaled_dot_product_attention)


def test_autocast_keeps_norms_in_float32() -> None:
    """Under autocast a layer norm's input is kept, and its output given, in float32; products come in bfloat16."""
    layer, norm = nn.Linear(WIDTH, INNER), nn.LayerNorm(INNER)
    x = torch.zeros(ROWS, WIDTH)
    seen: list[torch.dtype] = []

    def loss() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            inner = layer(x)
            normed = norm(inner)
        seen.extend([inner.dtype, normed.dtype])
        return normed.sum()

    step = count_step(loss, layer, norm)
    assert seen == [torch.bfloat16, torch.float32]
    statistics = 2 * 4 * ROWS  # mean and deviation of each row
    assert step.kept_bytes == 2 * ROWS * WIDTH + 4 * ROWS * INNER + statistics
