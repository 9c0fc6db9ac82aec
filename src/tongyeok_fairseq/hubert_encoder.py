"""HuBERT's Transformer, computed faster in training: fairseq's modules and parameters, another order of operations.

Clips stay the first dimension; query, key and value are one matrix product; attention on CPUs is two of them with a
softmax between, where torch's fused one is slower, forward and backward; dropout masks take a byte an element.
Outputs and gradients are equal up to rounding (parity test). Source: fairseq's `models/wav2vec/wav2vec2.py:
TransformerEncoder`.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  torch's convention
from fairseq.models.wav2vec.wav2vec2 import TransformerEncoder, TransformerSentenceEncoderLayer
from fairseq.modules import gelu
from fairseq.modules.multihead_attention import MultiheadAttention
from jaxtyping import Bool, Float
from torch import Tensor

from tongyeok_fairseq.byte_dropout import add_dropped, dropout


def encoder_suits(encoder: TransformerEncoder) -> bool:
    """Whether these are the layers of HuBERT base: layer norms after the sums, GELU between."""
    return not encoder.layer_norm_first and all(
        type(layer) is TransformerSentenceEncoderLayer and layer.activation_fn is gelu for layer in encoder.layers
    )


def encode(
    encoder: TransformerEncoder, x: Float[Tensor, "batch frames width"], padding: Bool[Tensor, "batch frames"]
) -> Float[Tensor, "batch frames width"]:
    """What `encoder(x, padding)` gives first; inside an autocast, products are in its number format."""
    training = encoder.training
    x = x.masked_fill(padding[..., None], 0)
    x = x + encoder.pos_conv(x.transpose(1, 2)).transpose(1, 2)
    x = dropout(encoder.layer_norm(x.float()), encoder.dropout, training=training)
    bias = torch.zeros(padding.shape, device=x.device).masked_fill_(padding, -math.inf)[:, None, None]
    for layer in encoder.layers:
        if training and encoder.layerdrop > 0 and np.random.random() <= encoder.layerdrop:  # noqa: NPY002  as fairseq
            continue
        mixed = _attend(layer.self_attn, x, bias)
        x = layer.self_attn_layer_norm(add_dropped(x, mixed, layer.dropout1.p, training=training))
        inner = dropout(F.gelu(layer.fc1(x)), layer.dropout2.p, training=training)
        x = layer.final_layer_norm(add_dropped(x, layer.fc2(inner), layer.dropout3.p, training=training))
    return x


def _attend(attention: MultiheadAttention, x: Tensor, bias: Tensor) -> Tensor:
    """Self-attention of all heads and its output projection."""
    clips, frames, _ = x.shape
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    weight = torch.cat([each.weight for each in projections])
    joined = F.linear(x, weight, torch.cat([each.bias for each in projections]))
    heads = joined.view(clips, frames, 3, attention.num_heads, attention.head_dim).permute(2, 0, 3, 1, 4)
    query, key, value = heads.flatten(1, 2)
    scores = torch.bmm(query * attention.scaling, key.transpose(1, 2)).view(clips, -1, frames, frames)
    weights = (scores.float() + bias).softmax(-1).to(value.dtype)
    weights = dropout(weights, attention.dropout_module.p, training=attention.training)
    mixed = torch.bmm(weights.flatten(0, 1), value).view(clips, attention.num_heads, frames, -1)
    output: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return output
