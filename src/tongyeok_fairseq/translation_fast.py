"""The same Transformer, computed faster: fairseq's modules and parameters, another order of operations in training.

fairseq pads every sentence to the longest of its batch, projects query, key and value one after the other, takes
attention over encoder states off the fast path, and draws dropout masks one number at a time. Here the sentences of a
batch lie end to end, so that no sum runs over padding; projections of the same input are one matrix product; and a mask
takes a byte an element. Outputs and gradients are equal up to rounding (parity test). Decoding: `translation_generate`.
"""

import math
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  torch's convention
from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer.transformer_legacy import base_architecture
from fairseq.modules.multihead_attention import MultiheadAttention
from torch import Tensor, nn

from tongyeok_fairseq import muon
from tongyeok_fairseq.byte_dropout import add_dropped, dropout
from tongyeok_fairseq.safety import load_checkpoint

MODEL = "unit_transformer"  # its name in fairseq's registry
ROWS = 128  # tokens of a batch are rounded up to this, so that few shapes of matrix products have to be prepared
STEPS = 8  # and the sentence length to this in attention


@dataclass(frozen=True, slots=True)
class Packing:
    """How the tokens of a padded batch lie end to end.

    `flat` (rows) is the place of each row in the padded grid of `sentences` x `steps`; rows beyond the tokens repeat
    the first one. `place` (sentences * steps) is the row of each place of the grid; padding takes row 0. `padding`
    (sentences, steps) is true at padding.
    """

    flat: Tensor
    place: Tensor
    padding: Tensor
    tokens: int
    sentences: int
    steps: int


def pack(tokens: Tensor, *, pad: int) -> Packing:
    """Packing of a padded batch (sentences, length), on either side padded."""
    sentences, length = tokens.shape
    steps = -(-length // STEPS) * STEPS
    grid = F.pad(tokens, (0, steps - length), value=pad)
    padding = grid.eq(pad)
    found = (~padding).view(-1).nonzero().view(-1)
    rows = -(-found.numel() // ROWS) * ROWS
    flat = F.pad(found, (0, rows - found.numel()), value=0)
    flat[found.numel() :] = found[0]
    place = torch.zeros(sentences * steps, dtype=torch.long, device=tokens.device)
    place[found] = torch.arange(found.numel(), device=tokens.device)
    return Packing(flat=flat, place=place, padding=padding, tokens=found.numel(), sentences=sentences, steps=steps)


@register_model(MODEL)
class UnitTransformer(TransformerModel):  # type: ignore[misc]
    """fairseq's `transformer` with a faster teacher-forced pass; its checkpoints are interchangeable."""

    products = torch.float32  # number format of matrix products; sums, norms, residuals and parameters stay float32

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> "UnitTransformer":  # noqa: ANN401  fairseq's signature
        """Build from fairseq's options for `transformer`, and two more.

        These are `products`: `float32` or `bfloat16`; and `initial`: a checkpoint to take the first weights from.
        """
        model: UnitTransformer = super().build_model(args, task)
        model.products = getattr(torch, getattr(args, "products", "float32"))
        muon.mark([*model.encoder.layers, *model.decoder.layers])
        initial = getattr(args, "initial", None)
        if initial is not None:
            model.load_state_dict(load_checkpoint(Path(initial))["model"], strict=True)
        return model

    def forward(self, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor) -> tuple[Tensor, Packing]:  # noqa: ARG002
        """Logits of the target tokens without padding (tokens, symbols), and how they lay in the batch."""
        source = pack(src_tokens, pad=self.encoder.padding_idx)
        target = pack(prev_output_tokens, pad=self.decoder.padding_idx)
        features = self._decode(prev_output_tokens, self._encode(src_tokens, source), source, target)
        return self.decoder.output_layer(features)[: target.tokens], target

    def _embed(self, side: Any, tokens: Tensor, packing: Packing) -> Tensor:  # noqa: ANN401  encoder or decoder
        grid = F.pad(tokens, (0, packing.steps - tokens.shape[1]), value=side.padding_idx)
        positions = side.embed_positions(grid).reshape(-1, side.embed_positions.embedding_dim)
        x = F.embedding(grid.reshape(-1).index_select(0, packing.flat), side.embed_tokens.weight, side.padding_idx)
        x = side.embed_scale * x + positions.index_select(0, packing.flat)
        return dropout(x, side.dropout_module.p, training=self.training)

    def _encode(self, tokens: Tensor, packing: Packing) -> Tensor:
        x = self._embed(self.encoder, tokens, packing)
        bias = _padding_bias(packing, x)
        for layer in self.encoder.layers:
            attention = layer.self_attn

            def attend(y: Tensor, attention: MultiheadAttention = attention) -> Tensor:
                projected = self._linear(y, *_joined(attention, "qkv"))
                query, key, value = _heads(projected, packing, attention.num_heads, 3)
                return self._attend(query, key, value, bias, packing, attention)

            x = self._sublayer(x, attend, layer.self_attn_layer_norm, layer)
            x = self._sublayer(x, lambda y, layer=layer: self._feed_forward(y, layer), layer.final_layer_norm, layer)
        return x if self.encoder.layer_norm is None else self.encoder.layer_norm(x)

    def _decode(self, tokens: Tensor, memory: Tensor, source: Packing, packing: Packing) -> Tensor:
        x = self._embed(self.decoder, tokens, packing)
        causal = torch.full((packing.steps, packing.steps), -math.inf, device=x.device, dtype=x.dtype).triu(1)
        bias = _padding_bias(source, x)
        layers = list(self.decoder.layers)
        joined = [_joined(layer.encoder_attn, "kv") for layer in layers]
        weight, offset = torch.cat([w for w, _ in joined]), torch.cat([b for _, b in joined])
        remembered = self._linear(memory, weight, offset).chunk(len(layers), dim=1)
        for layer, keys_values in zip(layers, remembered, strict=True):
            own, other = layer.self_attn, layer.encoder_attn

            def attend(y: Tensor, own: MultiheadAttention = own) -> Tensor:
                query, key, value = _heads(self._linear(y, *_joined(own, "qkv")), packing, own.num_heads, 3)
                return self._attend(query, key, value, causal, packing, own)

            def consult(y: Tensor, other: MultiheadAttention = other, keys_values: Tensor = keys_values) -> Tensor:
                (query,) = _heads(self._linear(y, other.q_proj.weight, other.q_proj.bias), packing, other.num_heads, 1)
                key, value = _heads(keys_values, source, other.num_heads, 2)
                return self._attend(query, key, value, bias, packing, other)

            x = self._sublayer(x, attend, layer.self_attn_layer_norm, layer)
            x = self._sublayer(x, consult, layer.encoder_attn_layer_norm, layer)
            x = self._sublayer(x, lambda y, layer=layer: self._feed_forward(y, layer), layer.final_layer_norm, layer)
        return x if self.decoder.layer_norm is None else self.decoder.layer_norm(x)

    def _sublayer(self, x: Tensor, function: Any, norm: nn.LayerNorm, layer: Any) -> Tensor:  # noqa: ANN401
        """Residual connection with the layer norm before or after, as the layer has it."""
        p = layer.dropout_module.p
        if layer.normalize_before:
            return add_dropped(x, function(norm(x)), p, training=self.training)
        normed: Tensor = norm(add_dropped(x, function(x), p, training=self.training))
        return normed

    def _feed_forward(self, x: Tensor, layer: Any) -> Tensor:  # noqa: ANN401  encoder or decoder layer
        inner = layer.activation_fn(self._linear(x, layer.fc1.weight, layer.fc1.bias))
        inner = dropout(inner, layer.activation_dropout_module.p, training=self.training)
        return self._linear(inner, layer.fc2.weight, layer.fc2.bias)

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x.to(self.products), weight.to(self.products), bias.to(self.products))

    def _attend(  # noqa: PLR0917
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, packing: Packing, attention: MultiheadAttention
    ) -> Tensor:
        """Attention of all heads and the output projection: packed rows (rows, width)."""
        shape = (packing.sentences, attention.num_heads, packing.steps, -1)
        p = attention.dropout_module.p if self.training else 0.0
        if query.device.type == "cpu":
            scores = torch.bmm(query * attention.scaling, key.transpose(1, 2))
            weights = scores.view(shape).float().add_(bias).softmax(-1)
            weights = dropout(weights, p, training=self.training).to(query.dtype)
            mixed = torch.bmm(weights.view(scores.shape), value).view(shape)
        else:
            sides = (side.view(*shape[:2], -1, side.shape[-1]) for side in (query, key, value))
            mixed = F.scaled_dot_product_attention(*sides, attn_mask=bias.to(query.dtype), dropout_p=p)
        grid = mixed.transpose(1, 2).reshape(packing.sentences * packing.steps, -1)
        return self._linear(grid.index_select(0, packing.flat), attention.out_proj.weight, attention.out_proj.bias)


@register_model_architecture(MODEL, MODEL)
def unit_transformer(args: Namespace) -> None:
    """Take fairseq's defaults for what the configuration leaves out."""
    base_architecture(args)


def _joined(attention: MultiheadAttention, parts: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of several projections of the same input, as one."""
    projections = [getattr(attention, f"{part}_proj") for part in parts]
    return torch.cat([each.weight for each in projections]), torch.cat([each.bias for each in projections])


def _heads(rows: Tensor, packing: Packing, heads: int, parts: int) -> Tensor:
    """Packed rows of `parts` joined projections -> (parts, sentences * heads, steps, channels of a head)."""
    grid = rows.index_select(0, packing.place).view(packing.sentences, packing.steps, parts, heads, -1)
    return grid.permute(2, 0, 3, 1, 4).reshape(parts, packing.sentences * heads, packing.steps, -1)


def _padding_bias(packing: Packing, like: Tensor) -> Tensor:
    """Minus infinity at padded keys: (sentences, 1, 1, steps)."""
    bias = torch.zeros(packing.padding.shape, device=like.device, dtype=like.dtype)
    return bias.masked_fill_(packing.padding, -math.inf)[:, None, None]
