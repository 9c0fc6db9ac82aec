"""Count what a training step computes and keeps, on tensors that have shapes and no numbers, as a GPU would run it.

A step runs once on fake or meta tensors. torch counts its multiplications, forward and backward; autograd's hooks show
every tensor that is kept for the backward pass. Where torch's kernels differ between devices, those of GPUs are called:

- attention: `_scaled_dot_product_efficient_attention`, which keeps query, key, value, result and a number a row, and no
  attention matrix;
- dropout: a mask of one byte an element;
- layer norm under autocast: in float32, as CUDA's autocast has it (CPU's leaves it in bfloat16).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A model and one forward and backward pass through it.

    `parameters` are trained numbers; `kept_bytes` what autograd keeps between the two passes, copies of weights in
    bfloat16 included; `flops` the operations (multiply, add) of products, convolutions and attention in both.
    """

    parameters: int
    kept_bytes: int
    flops: int


def count_step(loss: Callable[[], Tensor], *modules: nn.Module) -> Step:
    """Run a step and count.

    Args:
        loss: the forward pass; every tensor in it is fake or on the meta device.
        modules: what is trained.
    """
    parameters = {id(parameter): parameter for module in modules for parameter in module.parameters()}
    own = {parameter.untyped_storage()._cdata for parameter in parameters.values()}  # noqa: SLF001  its identity
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata  # noqa: SLF001
        if storage not in own:
            kept[storage] = tensor  # held, so that no other storage takes its identity
        return tensor

    formulas = {torch.ops.aten.convolution_backward: _convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        with gpu_kernels(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            total = loss()
        total.backward()  # type: ignore[no-untyped-call]
    return Step(
        parameters=sum(parameter.numel() for parameter in parameters.values()),
        kept_bytes=sum(tensor.untyped_storage().nbytes() for tensor in kept.values()),
        flops=counter.get_total_flops(),
    )


@contextmanager
def gpu_kernels() -> Iterator[None]:
    """Inside, torch's functions call what they would call on a GPU; tensors without numbers need no GPU for that."""
    stand_ins = {"scaled_dot_product_attention": _attention, "dropout": _dropout, "layer_norm": _layer_norm}
    before = {name: getattr(functional, name) for name in stand_ins}
    vars(functional).update(stand_ins)
    try:
        yield
    finally:
        vars(functional).update(before)


def _attention(  # noqa: PLR0917  torch's signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
        attn_mask = None if attn_mask is None else attn_mask.to(dtype)
    if attn_mask is not None:
        attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
    mixed: Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(  # noqa: SLF001  torch's own name
        query, key, value, attn_mask, compute_log_sumexp=True, dropout_p=dropout_p, is_causal=is_causal
    )[0]
    return mixed


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # noqa: ARG001
    return torch.native_dropout(x, p, train=True)[0] if training and p else x


def _layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    x = x.float() if torch.is_autocast_enabled("cpu") else x
    return torch.layer_norm(x, list(normalized_shape), weight, bias, eps)


def _convolution_backward(
    gradient_shape: list[int],
    x_shape: list[int],
    weight_shape: list[int],
    _bias: object,
    _stride: object,
    _padding: object,
    _dilation: object,
    transposed: bool,
    _output_padding: object,
    _groups: object,
    wanted: Sequence[bool],
    **_: object,
) -> int:
    """Each gradient, of input and of weights, takes the forward pass's operations.

    torch's own formula counts those of the weights of a grouped convolution `groups` times.
    """
    return sum(wanted[:2]) * conv_flop_count(x_shape, weight_shape, gradient_shape, transposed)
