"""Muon for the weight matrices of a Transformer's layers and AdamW for all else, as one optimizer of fairseq's.

Muon (Jordan 2024) replaces the momentum of a matrix by the nearest orthogonal one, so that directions with small
gradients are learned as fast as those with large ones. Its steps are scaled to the size of AdamW's (Liu et al. 2025,
sec. 2.2), so that one learning rate serves both. Both parts are torch's own, but for the order of Muon's work.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from jaxtyping import Float
from torch import Tensor, nn

OPTIMIZER = "tongyeok_muon"  # its name in fairseq's registry
MOMENTUM = 0.95  # Muon's own default
MARK = "in_layer_matrix"  # attribute of the parameters that Muon takes


def mark(layers: Iterable[nn.Module]) -> None:
    """Tell the optimizer, which is given parameters without names, that these layers' matrices are Muon's."""
    for layer in layers:
        for parameter in layer.parameters():
            if parameter.ndim == 2:  # noqa: PLR2004  a matrix
                setattr(parameter, MARK, True)


class StackedMuon(torch.optim.Muon):
    """torch's Muon, its options and its state; matrices of one shape are made orthogonal together.

    A Transformer has many small matrices: one after the other, their products keep no processor busy.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step every matrix that has a gradient."""
        assert closure is None, "fairseq gives none"
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                directions = orthogonal(torch.stack([self._direction(matrix, group) for matrix in matrices]), group)
                rate = 0.2 * math.sqrt(max(shape)) * group["lr"]  # AdamW's root mean square
                for matrix, direction in zip(matrices, directions, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-rate)

    def _direction(self, matrix: Tensor, group: dict[str, Any]) -> Tensor:
        """Nesterov's momentum."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix.grad)
        momentum: Tensor = state["momentum_buffer"]
        momentum.lerp_(matrix.grad, 1 - group["momentum"])
        return matrix.grad.lerp(momentum, group["momentum"])


def orthogonal(matrices: Float[Tensor, "matrices rows columns"], group: dict[str, Any]) -> Tensor:
    """Matrices with the same singular vectors and singular values near 1, by Newton-Schulz in bfloat16.

    Source: `_zeropower_via_newtonschulz` of torch/optim/_muon.py, for one matrix.
    """
    a, b, c = group["ns_coefficients"]
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    norms = torch.stack([matrix.norm() for matrix in x])
    x = x / norms.clamp(min=group["eps"])[:, None, None]
    for _ in range(group["ns_steps"]):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class MuonAndAdam(torch.optim.Optimizer):
    """Two optimizers that step together, each on its own parameters."""

    def __init__(self, params: Iterable[Tensor], *, lr: float, weight_decay: float, **adam: Any) -> None:  # noqa: ANN401
        """Give marked parameters to Muon, others to AdamW, whose own options are `adam`."""
        everything = list(params)
        super().__init__(everything, {})
        others = [parameter for parameter in everything if not hasattr(parameter, MARK)]
        matrices = [parameter for parameter in everything if hasattr(parameter, MARK)]
        self.parts: tuple[torch.optim.Optimizer, torch.optim.Optimizer] = (
            torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay, fused=True, **adam),
            StackedMuon(matrices, lr=lr, weight_decay=weight_decay, momentum=MOMENTUM),
        )
        self._join()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step both."""
        assert closure is None, "fairseq gives none"
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._join()

    def _join(self) -> None:
        """Their groups, where fairseq sets the learning rate."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]


@register_optimizer(OPTIMIZER, dataclass=FairseqAdamConfig)
class FairseqMuon(FairseqAdam):  # type: ignore[misc]
    """The pair as fairseq's trainer takes it."""

    def __init__(self, cfg: FairseqAdamConfig, params: Iterable[Tensor]) -> None:
        """Optimise `params`."""
        FairseqOptimizer.__init__(self, cfg)
        self._optimizer = MuonAndAdam(params, **self.optimizer_config)
