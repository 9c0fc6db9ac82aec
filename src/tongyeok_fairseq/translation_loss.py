"""Label-smoothed cross entropy over unpadded tokens, and Adam in one kernel: equal to fairseq's up to rounding."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  torch's convention
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from torch import Tensor

from tongyeok_fairseq.translation_fast import UnitTransformer

CRITERION, OPTIMIZER = "unit_cross_entropy", "unit_adam"  # their names in fairseq's registry


def label_smoothed(logits: Tensor, target: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Summed label-smoothed loss and summed negative log likelihood, in nats.

    Args:
        logits: (tokens, symbols).
        target: (tokens).
        epsilon: share of the probability spread over the other symbols.

    Source: fairseq/criterions/label_smoothed_cross_entropy.py, where padding is masked afterwards.
    """
    others = epsilon / (logits.shape[-1] - 1)
    scores = F.log_softmax(logits, dim=-1, dtype=torch.float32)
    likelihood = F.nll_loss(scores, target, reduction="sum")
    return (1.0 - epsilon - others) * likelihood - others * scores.sum(), likelihood


@register_criterion(CRITERION, dataclass=LabelSmoothedCrossEntropyCriterionConfig)
class UnitCrossEntropy(LabelSmoothedCrossEntropyCriterion):  # type: ignore[misc]
    """fairseq's `label_smoothed_cross_entropy` for a model that returns unpadded logits."""

    def forward(
        self,
        model: UnitTransformer,
        sample: dict[str, Any],
        reduce: bool = True,  # noqa: ARG002
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss of a batch, the number it is divided by, and figures to log."""
        logits, _ = model(**sample["net_input"])
        target = sample["target"]
        loss, likelihood = label_smoothed(logits, target[target.ne(self.padding_idx)], self.eps)
        sentences = target.shape[0]
        size = sentences if self.sentence_avg else sample["ntokens"]
        figures = {"loss": loss.data, "nll_loss": likelihood.data, "ntokens": sample["ntokens"]}
        return loss, size, figures | {"nsentences": sentences, "sample_size": size}


@register_optimizer(OPTIMIZER, dataclass=FairseqAdamConfig)
class UnitAdam(FairseqAdam):  # type: ignore[misc]
    """fairseq's Adam (its weight decay is AdamW's) as torch's fused kernel, on CPU too."""

    def __init__(self, cfg: FairseqAdamConfig, params: Iterable[Tensor]) -> None:
        """Optimise `params`."""
        FairseqOptimizer.__init__(self, cfg)
        self._optimizer = torch.optim.AdamW(params, fused=True, **self.optimizer_config)
