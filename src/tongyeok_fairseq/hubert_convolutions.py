"""HuBERT's convolutions over samples as plain matrix products, frame by frame in memory.

A convolution of kernel k and stride s, on frames that lie one after the other, is ceil(k / s) matrix products over the
frames taken s at a time: no copy, no reordering, and the products run near the processor's peak, forward and backward,
where torch's one-dimensional convolutions reach a fraction of it. All clips of a batch lie end to end; frames that
would mix two clips come after the last one that counts and are cut off.

The group norm behind the first convolution has one channel a group, and a channel is a weighted sum of the samples in
its window: its mean and variance over time follow from the windows' mean and covariance, so that the norm is a scale
of the filters, one for each clip, and no pass over the frames. Source of the layers: fairseq's
`models/wav2vec/wav2vec2.py: ConvFeatureExtractionModel`.
"""

from typing import Any

import torch
from fairseq.models.wav2vec.wav2vec2 import ConvFeatureExtractionModel
from fairseq.modules import Fp32GroupNorm
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def convolutions_suit(extractor: ConvFeatureExtractionModel) -> bool:
    """Whether these are the layers of HuBERT base: no biases, and one norm, the first layer's, a channel a group."""
    (first, *rest) = extractor.conv_layers
    norms = [type(module) for block in rest for module in block]
    return (
        isinstance(first[2], Fp32GroupNorm)
        and first[2].num_groups == first[2].num_channels
        and set(norms) == {nn.Conv1d, nn.Dropout, nn.GELU}
        and all(block[0].bias is None and block[1].p == 0 for block in extractor.conv_layers)
        and all(block[0].kernel_size[0] >= block[0].stride[0] for block in extractor.conv_layers)
    )


def convolve(extractor: ConvFeatureExtractionModel, source: Float[Tensor, "batch samples"]) -> Tensor:
    """What `extractor(source)` gives: (batch, channels, frames), up to rounding.

    Inside an autocast, frames and products are in its number format.
    """
    blocks = list(extractor.conv_layers)
    clips, frames = source.shape
    hop = 1
    for block in blocks:
        frames = (frames - block[0].kernel_size[0]) // block[0].stride[0] + 1
        hop *= block[0].stride[0]
    held = -(-source.shape[1] // hop)  # frames of a clip with those that are cut off
    x = functional.gelu(_first(blocks[0], source, held * hop)).flatten(0, 1)
    for block in blocks[1:]:
        convolution = block[0]
        table = convolution.weight.permute(2, 1, 0).flatten(0, 1).to(x.dtype)
        x = functional.gelu(Convolution.apply(x, table, convolution.stride[0]))
    return x.view(clips, held, -1)[:, :frames].transpose(1, 2)


def _first(block: nn.Sequential, source: Tensor, held: int) -> Tensor:
    """First convolution and its norm over `held` samples of each clip: (batch, frames, channels)."""
    convolution, norm = block[0], block[2]
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    frames = (source.shape[1] - kernel) // stride + 1
    windows = functional.pad(source, (0, held + kernel - stride - source.shape[1])).unfold(1, kernel, stride)
    exact = windows[:, :frames].double()  # a filter may pass little of what the window holds
    mean = exact.mean(1, keepdim=True)
    exact = exact - mean
    covariance = exact.transpose(1, 2) @ exact / frames
    filters = convolution.weight[:, 0].double()  # (channels, kernel)
    with torch.autocast(source.device.type, enabled=False):
        variance = ((filters @ covariance) * filters).sum(-1)  # (batch, channels)
        scale = (variance + norm.eps).rsqrt() * norm.weight
        scaled = (filters * scale[..., None]).float()
    return torch.baddbmm(norm.bias, windows - mean.float(), scaled.transpose(1, 2))


class Convolution(torch.autograd.Function):
    """Convolution without padding over frames end to end, its output with a frame for every `stride` frames."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, stride: int) -> Tensor:  # noqa: ANN401
        """Frames (frames, channels) times table (kernel * channels, outputs): (frames // stride, outputs)."""
        ctx.save_for_backward(x, table)
        ctx.stride = stride
        rows = x.view(len(x) // stride, -1)
        parts = table.split(rows.shape[1])
        y = rows @ parts[0]
        for ahead, part in enumerate(parts[1:], start=1):
            y[:-ahead].addmm_(rows[ahead:, : len(part)], part)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """Gradients of frames and table."""
        x, table = ctx.saved_tensors
        rows = x.view(len(x) // ctx.stride, -1)
        parts = table.split(rows.shape[1])
        to_rows = gradient @ parts[0].T
        to_table = torch.empty_like(table)
        to_parts = to_table.split(rows.shape[1])
        torch.mm(rows.T, gradient, out=to_parts[0])
        for ahead, part in enumerate(parts[1:], start=1):
            to_rows[ahead:, : len(part)].addmm_(gradient[:-ahead], part.T)
            torch.mm(rows[ahead:, : len(part)].T, gradient[:-ahead], out=to_parts[ahead])
        return to_rows.view_as(x), to_table, None
