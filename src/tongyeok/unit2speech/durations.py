"""How long each unit lasts: a small convolutional predictor on the embeddings of de-duplicated units.

Layers, target log(frames + 1) and rounding are those of fairseq's `VariancePredictor` in `CodeGenerator`.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

HIDDEN_CHANNELS = 128
KERNEL = 3  # units


class DurationPredictor(nn.Module):
    """Two convolutions with ReLU, LayerNorm and dropout, then a Linear.

    The language's vector is added to the first convolution's output, so that it folds into that convolution's bias.

    Args:
        channels: of the unit embeddings.
        languages: number of languages.
        dropout: share of activations dropped in training.
    """

    def __init__(self, *, channels: int, languages: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, HIDDEN_CHANNELS, KERNEL, padding=KERNEL // 2)
        self.language = nn.Embedding(languages, HIDDEN_CHANNELS)
        self.ln1 = nn.LayerNorm(HIDDEN_CHANNELS)
        self.conv2 = nn.Conv1d(HIDDEN_CHANNELS, HIDDEN_CHANNELS, KERNEL, padding=KERNEL // 2)
        self.ln2 = nn.LayerNorm(HIDDEN_CHANNELS)
        self.proj = nn.Linear(HIDDEN_CHANNELS, 1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.language.weight)

    def forward(
        self, embeddings: Float[Tensor, "batch codes channels"], language: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch codes"]:
        """log(frames + 1) of each unit."""
        x = self.conv1(embeddings.transpose(1, 2)).transpose(1, 2) + self.language(language)[:, None]
        x = self.dropout(self.ln1(torch.relu(x)))
        x = torch.relu(self.conv2(x.transpose(1, 2)).transpose(1, 2))
        predicted: Float[Tensor, "batch codes"] = self.proj(self.dropout(self.ln2(x))).squeeze(2)
        return predicted

    @torch.no_grad()
    def fold(self, language: int) -> None:
        """Move one language's vector into the first convolution's bias; all vectors become zero."""
        assert self.conv1.bias is not None
        self.conv1.bias.add_(self.language.weight[language])
        self.language.weight.zero_()


def to_frames(log_durations: Float[Tensor, "*batch codes"]) -> Int[Tensor, "*batch codes"]:
    """Whole frames, at least 1: round(exp(x) - 1)."""
    return torch.round(torch.expm1(log_durations)).long().clamp(min=1)


def duration_loss(
    predicted: Float[Tensor, "batch codes"], durations: Int[Tensor, "batch codes"], real: Bool[Tensor, "batch codes"]
) -> Float[Tensor, ""]:
    """Mean squared error of log(frames + 1) over the codes that are `real`, not padding."""
    error = (predicted - torch.log1p(durations.float())).square()
    return error.masked_select(real).mean()
