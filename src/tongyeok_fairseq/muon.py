"""Muon for the weight matrices of a Transformer's layers and AdamW for all else, as one optimizer of fairseq's.

Muon (Jordan 2024) replaces the momentum of a matrix by the nearest orthogonal one, so that directions with small
gradients are learned as fast as those with large ones. Its steps are scaled to the size of AdamW's (Liu et al. 2025,
sec. 2.2), so that one learning rate serves both. Both parts are torch's own.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
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
            torch.optim.Muon(
                matrices, lr=lr, weight_decay=weight_decay, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"
            ),
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
