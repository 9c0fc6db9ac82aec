"""HuBERT on one recording on a CPU: fairseq's model, with memory and products arranged for oneDNN.

Nothing is computed otherwise than by fairseq's modules, but for rounding. Convolutions run over channels-last memory.
Linear layers are oneDNN's products: torch hands float32 products to MKL, which takes twice as long on AMD's CPUs.
"""

from functools import partial

import torch
from fairseq.models.hubert.hubert import HubertModel
from fairseq.models.wav2vec.wav2vec2 import TransformerSentenceEncoderLayer
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tongyeok.base.linear import Linear

STEP = 16  # frames
Rows = Float[Tensor, "frames width"]


class ClipEncoder:
    """A HuBERT's output for one recording, without padding."""

    def __init__(self, model: HubertModel, *, field: int, hop: int) -> None:
        """Arrange the weights of fairseq's `model`, which has no more layers than are wanted.

        Args:
            model: a HuBERT that `is_known`.
            field: samples that one of its frames sees.
            hop: samples from one frame to the next.
        """
        self._field, self._hop = field, hop
        self._convolutions = [_Convolution(layer) for layer in model.feature_extractor.conv_layers]
        self._norm = model.layer_norm
        project = model.post_extract_proj
        self._project = project and Linear(project.weight, project.bias)
        position = model.encoder.pos_conv[0]
        self._position = _channels_last(position.weight), position.bias, position.padding[0], position.groups
        self._encoder_norm = None if model.encoder.layer_norm_first else model.encoder.layer_norm
        self._layers = [_Layer(layer) for layer in model.encoder.layers]

    def __call__(self, wave: Float[Tensor, " samples"]) -> Rows:
        """Frames of one recording, as many as the convolutions give.

        All is computed for a number of frames that is rounded up: oneDNN compiles a kernel for every new shape, which
        takes longer than running it. What is beyond the recording's end is not seen from within.
        """
        count = (len(wave) - self._field) // self._hop + 1
        rounded = -(-count // STEP) * STEP
        x = functional.pad(wave, (0, self._field + self._hop * (rounded - 1) - len(wave)))[:, None]
        for number, convolution in enumerate(self._convolutions):
            x = convolution(x, seen=wave if number == 0 else None)
        x = self._norm(x)
        if self._project is not None:
            x = self._project(x)
        x[count:] = 0  # as the positional convolution's own padding
        weight, bias, padding, groups = self._position
        x = x + functional.gelu(_convolve(x, weight, bias, padding=padding, groups=groups)[:rounded])
        if self._encoder_norm is not None:
            x = self._encoder_norm(x)
        for layer in self._layers:
            x = layer(x, count)
        return x[:count]


def is_known(model: HubertModel) -> bool:
    """Whether `model` is what `ClipEncoder` expects; fairseq also builds conformers, and other position layers."""
    return isinstance(model.encoder.pos_conv[0], nn.Conv1d) and all(
        type(layer) is TransformerSentenceEncoderLayer for layer in model.encoder.layers
    )


class _Convolution:
    """One convolution, its norm (over time or over channels, if any) and GELU."""

    def __init__(self, layer: nn.Sequential) -> None:
        self._weight, self._bias, self._stride = layer[0].weight, layer[0].bias, layer[0].stride[0]
        self._image = _channels_last(self._weight)
        self._norm = layer[2][1] if isinstance(layer[2], nn.Sequential) else layer[2]

    def __call__(self, x: Rows, *, seen: Tensor | None) -> Rows:
        if isinstance(self._norm, nn.GroupNorm):
            assert seen is not None
            weight, bias = self._normalised(seen)
            return functional.gelu(_convolve(x, weight, bias, stride=self._stride))
        x = _convolve(x, self._image, self._bias, stride=self._stride)
        return functional.gelu(self._norm(x) if isinstance(self._norm, nn.LayerNorm) else x)

    def _normalised(self, wave: Float[Tensor, " samples"]) -> tuple[Tensor, Tensor]:
        """Weight and bias whose output over `wave` has the mean and variance that the norm over time gives it.

        Both follow from the covariance of the few samples that a frame sees, without the convolution's output.
        """
        weight = self._weight[:, 0].double()
        patches = wave.double().unfold(0, weight.shape[1], self._stride)
        mean = patches.mean(dim=0)
        off = patches - mean
        variance = (weight @ (off.T @ off / len(off)) * weight).sum(dim=1)
        scale = self._norm.weight * torch.rsqrt(variance + self._norm.eps)
        bias = self._norm.bias - scale * (weight @ mean)
        return _channels_last((scale[:, None] * weight)[:, None].float()), bias.float()


class _Layer:
    """A Transformer layer without dropout; queries, keys and values come from one product."""

    def __init__(self, layer: TransformerSentenceEncoderLayer) -> None:
        attention = layer.self_attn
        inner = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._inner = Linear(torch.cat([each.weight for each in inner]), torch.cat([each.bias for each in inner]))
        self._outer = Linear(attention.out_proj.weight, attention.out_proj.bias)
        self._first = Linear(layer.fc1.weight, layer.fc1.bias)
        self._second = Linear(layer.fc2.weight, layer.fc2.bias)
        self._heads, self._activation = attention.num_heads, layer.activation_fn
        self._norms, self._norm_first = (layer.self_attn_layer_norm, layer.final_layer_norm), layer.layer_norm_first

    def __call__(self, x: Rows, count: int) -> Rows:
        for part, norm in zip((partial(self._attend, count=count), self._forward), self._norms, strict=True):
            x = x + part(norm(x)) if self._norm_first else norm(x + part(x))
        return x

    def _attend(self, x: Rows, *, count: int) -> Rows:
        queries, keys, values = self._inner(x).view(1, len(x), 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys[:, :, :count], values[:, :, :count])
        return self._outer(mixed.transpose(1, 2).reshape(len(x), -1))

    def _forward(self, x: Rows) -> Rows:
        return self._second(self._activation(self._first(x)))


def _channels_last(weight: Float[Tensor, "after before kernel"]) -> Float[Tensor, "after before 1 kernel"]:
    return weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _convolve(
    x: Rows, weight: Float[Tensor, "after before 1 kernel"], bias: Tensor | None, *, stride: int = 1, **options: int
) -> Rows:
    """A convolution over time; a frame's channels lie together, before and after."""
    if padding := options.pop("padding", 0):
        options["padding"] = (0, padding)
    image = x[None, None].permute(0, 3, 1, 2)
    return functional.conv2d(image, weight, bias, stride=(1, stride), **options)[0, :, 0].T
