"""What every unit vocoder shares: conditioning, the duration predictor, and the interface units -> waveform.

The unit embedding (128) is concatenated with Linear(256 -> 128) of the source speaker's d-vector, as in AV2AV's vocoder
(fairseq's `CodeGenerator` with `embedder_params`). The language's vector is added after that Linear, so that it can be
folded into the Linear's bias and each language's generator exported exactly.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tongyeok.unit2speech.durations import DurationPredictor
from tongyeok.unit2speech.speaker_encoder import DVECTOR

UNIT_CHANNELS = 128
SPEAKER_CHANNELS = 128
CONDITION_CHANNELS = UNIT_CHANNELS + SPEAKER_CHANNELS


class Conditioning(nn.Module):
    """Units, speaker and language -> what the generator speaks from.

    Args:
        clusters: number of units.
        languages: number of languages.
    """

    def __init__(self, *, clusters: int, languages: int) -> None:
        super().__init__()
        self.unit = nn.Embedding(clusters, UNIT_CHANNELS)
        self.speaker = nn.Linear(DVECTOR, SPEAKER_CHANNELS)
        self.language = nn.Embedding(languages, SPEAKER_CHANNELS)
        nn.init.zeros_(self.language.weight)

    def forward(
        self, units: Int[Tensor, "batch frames"], dvector: Float[Tensor, "batch 256"], language: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch frames 256"]:
        """One vector per frame."""
        voice = self.speaker(dvector) + self.language(language)
        return torch.cat([self.unit(units), voice[:, None].expand(-1, units.shape[1], -1)], dim=2)

    @torch.no_grad()
    def fold(self, language: int) -> None:
        """Make this language the only one: its vector moves into the speaker Linear's bias, all vectors become zero."""
        self.speaker.bias.add_(self.language.weight[language])
        self.language.weight.zero_()


class Generator(nn.Module, ABC):
    """A unit vocoder; subclasses turn conditioned frames into `UNIT_HOP` samples each.

    Args:
        clusters: number of units.
        languages: number of languages.
        duration_dropout: of the duration predictor.
    """

    def __init__(self, *, clusters: int, languages: int, duration_dropout: float) -> None:
        super().__init__()
        self.conditioning = Conditioning(clusters=clusters, languages=languages)
        self.durations = DurationPredictor(channels=UNIT_CHANNELS, languages=languages, dropout=duration_dropout)

    @abstractmethod
    def decode(self, frames: Float[Tensor, "batch frames 256"]) -> Float[Tensor, "batch samples"]:
        """Waveform of exactly frames * UNIT_HOP samples."""

    def forward(
        self, units: Int[Tensor, "batch frames"], dvector: Float[Tensor, "batch 256"], language: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch samples"]:
        """Speech of full 50 Hz unit sequences, with their repeats; samples = frames * UNIT_HOP.

        Args:
            units: 0-based unit ids, one per 20 ms frame.
            dvector: of the speaker whose voice is wanted.
            language: indices into the vocoder's languages.
        """
        waveform: Float[Tensor, "batch samples"] = self.decode(self.conditioning(units, dvector, language))
        return waveform

    def log_durations(
        self, codes: Int[Tensor, "batch codes"], language: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch codes"]:
        """log(frames + 1) of each unit of de-duplicated sequences; the unit embeddings are not trained through it."""
        predicted: Float[Tensor, "batch codes"] = self.durations(self.conditioning.unit(codes).detach(), language)
        return predicted

    def fold_language(self, language: int) -> None:
        """Turn this generator into one of a single language, exactly; any language index then gives that one."""
        self.conditioning.fold(language)
        self.durations.fold(language)

    def fold(self) -> None:
        """Do once what does not depend on what is said; afterwards the generator can speak, but not be saved."""
