"""Muon beside AdamW in one optimizer."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tongyeok_fairseq.muon import MuonAndAdam, StackedMuon, mark

OPTIONS = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.98), "eps": 1e-8}
ROUNDING = 1e-4  # of steps up to 0.04 by bfloat16 matrices; on the processors tried they are equal


def gradients(step: int, parameters: list[nn.Parameter]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(parameter.shape, generator=generator) for parameter in parameters]


def update(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], *, step: int) -> None:
    for parameter, gradient in zip(parameters, gradients(step, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()


def layer() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"layer": nn.Linear(6, 4), "table": nn.Embedding(5, 6)})


def built(module: nn.Module) -> tuple[MuonAndAdam, list[nn.Parameter]]:
    mark([module["layer"]])
    parameters = list(module.parameters())
    return MuonAndAdam(parameters, **OPTIONS), parameters


def test_each_part_moves_its_own_parameters_as_it_does_alone() -> None:
    """The layer's matrix ends where torch's Muon alone takes it, its bias and the table where AdamW does."""
    both, parameters = built(layer())
    alone = list(layer().parameters())
    muon = torch.optim.Muon(alone[:1], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(alone[1:], fused=True, **OPTIONS)
    for step in range(3):
        update(both, parameters, step=step)
        for parameter, gradient in zip(alone, gradients(step, alone), strict=True):
            parameter.grad = gradient
        muon.step()
        adam.step()
    for ours, theirs in zip(parameters, alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING)


def test_the_learning_rate_of_every_group_counts() -> None:
    """A rate of 0, set where fairseq sets it, holds every parameter still, also after a saved state was loaded."""
    both, parameters = built(layer())
    update(both, parameters, step=0)
    both.load_state_dict(copy.deepcopy(both.state_dict()))
    for group in both.param_groups:
        group["lr"] = 0.0
    before = [parameter.detach().clone() for parameter in parameters]
    update(both, parameters, step=1)
    assert all(torch.equal(one, other) for one, other in zip(before, parameters, strict=True))


def test_matrices_of_one_shape_move_as_torchs_muon_moves_each() -> None:
    """Stacked square, wide and tall matrices, and one that gets no gradient, end as under torch's Muon, by bfloat16."""
    shapes = [(128, 128)] * 5 + [(128, 384)] * 3 + [(384, 128)] * 2 + [(128, 128)]
    sides = []
    for kind in (StackedMuon, torch.optim.Muon):
        torch.manual_seed(0)
        matrices = [nn.Parameter(torch.randn(shape)) for shape in shapes]
        options = {} if kind is StackedMuon else {"adjust_lr_fn": "match_rms_adamw"}
        optimizer = kind(matrices, lr=0.01, weight_decay=0.1, momentum=0.95, **options)
        for step in range(3):
            update(optimizer, matrices[:-1], step=step)
        sides.append(matrices)
    for ours, theirs in zip(*sides, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("interruption", [1, 2])
def test_a_saved_state_goes_on_as_if_uninterrupted(interruption: int) -> None:
    """Weights after an interruption, with the state saved and loaded, are those of a run without one, to the bit."""
    through, parameters = built(layer())
    for step in range(3):
        update(through, parameters, step=step)
    module = layer()
    first, resumed = built(module)
    for step in range(interruption):
        update(first, resumed, step=step)
    second = MuonAndAdam(resumed, **OPTIONS)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for step in range(interruption, 3):
        update(second, resumed, step=step)
    assert all(torch.equal(one, other) for one, other in zip(parameters, resumed, strict=True))
