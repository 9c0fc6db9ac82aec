"""The door to fairseq's translation task: binarise bitext, train a Transformer, translate units."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int

from tongyeok.base.manifests import SPLITS
from tongyeok.base.products import Products
from tongyeok.base.stage import OnMetrics
from tongyeok.config import section

if TYPE_CHECKING:
    from tongyeok_fairseq.translation_generate import Translator


@section
class Architecture:
    """Shape of the Transformer; fairseq's `transformer` with one embedding for source, target and output."""

    encoder_layers: int
    decoder_layers: int
    width: int  # of embeddings and layers; fairseq's embed_dim
    ffn_width: int  # inner width of the feed-forward layers
    heads: int
    pre_norm: bool  # layer norm before each sublayer; learns faster and bears higher learning rates when small
    dropout: float  # on embeddings and on the output of each sublayer
    attention_dropout: float  # on attention weights
    activation_dropout: float  # inside feed-forward layers

    def __post_init__(self) -> None:
        """Check the rules."""
        for name in ("encoder_layers", "decoder_layers", "width", "ffn_width", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width: expected an even multiple of heads ({self.heads}), got {self.width}; change one")
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 0 <= p < 1, got {getattr(self, name)}; it is a probability")


@section
class Optimisation:
    """How the Transformer is trained."""

    updates: int  # budget; the polynomial schedule reaches 0 there
    tokens_per_batch: int  # most tokens of a batch on either side, padding included; fairseq's max_tokens
    batches_per_update: int  # gradients accumulated; fairseq's update_freq
    learning_rate: float  # peak
    warmup_updates: int  # linear warm-up
    schedule: Literal["polynomial", "inverse_sqrt"]  # decay to 0 at the last update, or ~ 1/sqrt(update)
    optimizer: Literal["adam", "muon"]  # muon: for the matrices of the layers, Adam for the rest
    adam_betas: tuple[float, float]
    weight_decay: float
    clip_norm: float  # of the gradient; 0 clips nothing
    label_smoothing: float  # share of the probability spread over the dictionary
    products: Products  # of matrices in training; bfloat16 is faster where the processor has it
    patience: int | None  # stop after so many validations without a lower loss; null trains all updates
    seed: int

    def __post_init__(self) -> None:
        """Check the rules."""
        for name in ("updates", "tokens_per_batch", "batches_per_update"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}; raise it")
        if not 0 <= self.warmup_updates < self.updates:
            raise ValueError(
                f"warmup_updates: expected 0 <= n < updates ({self.updates}), got {self.warmup_updates}; lower it"
            )
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate: expected more than 0, got {self.learning_rate}; raise it")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience: expected at least 1 or null, got {self.patience}; raise it")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing: expected 0 <= p < 1, got {self.label_smoothing}; it is a probability")


@section
class Masking:
    """Spans of the source whose units become `<mask>`; needs tags of the convention `utut`."""

    share: float  # of a sentence's tokens; BART masks 0.3
    span_mean: float  # Poisson mean of a span's length in units; 10 in UTUT

    def __post_init__(self) -> None:
        """Check the rules."""
        if not 0 < self.share < 1:
            raise ValueError(f"share: expected 0 < share < 1, got {self.share}; put null for no masking")
        if self.span_mean < 1:
            raise ValueError(f"span_mean: expected at least 1 unit, got {self.span_mean}; raise it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A finished training.

    `last` and `best` are checkpoints after the last update and with the lowest validation loss; `curves` has one
    mapping per report, with `step` and figures such as `train/loss`.
    """

    last: Path
    best: Path
    updates: int
    parameters: int
    curves: list[dict[str, float]]


def binarise(
    text_folder: Path,
    *,
    dictionary: Path,
    bin_folder: Path,
    workers: int,
    whole: bool,
    splits: tuple[str, ...] = SPLITS,
) -> None:
    """Write `{split}.{src,tgt}` of `text_folder` in fairseq's binary form, with one dictionary for both sides.

    The bytes are those of `fairseq-preprocess --joined-dictionary --srcdict`; sentences that are `whole` have their end
    mark already and get no other.

    Raises:
        ValueError: a token is not in the dictionary.
    """
    from tongyeok_fairseq import translation_data  # noqa: PLC0415  the room opens late

    translation_data.binarise(
        text_folder, dictionary=dictionary, bin_folder=bin_folder, splits=splits, workers=workers, whole=whole
    )


def train(
    bin_folder: Path,
    *,
    architecture: Architecture,
    optimisation: Optimisation,
    report_every: int,
    validate_every: int,
    scratch: Path,
    on_metrics: OnMetrics,
    masking: Masking | None = None,
    mask_valid: bool = False,
    initial: Path | None = None,
    name: str = "translator",
) -> Trained:
    """Train a Transformer on a bitext's `bin/`, going on from `scratch` where an earlier run was interrupted.

    Args:
        bin_folder: what `binarise` wrote.
        architecture: shape of the model.
        optimisation: how it is trained.
        report_every: updates between two points of the training curve.
        validate_every: updates between two validations, each of which saves the resumable state.
        scratch: folder for that state.
        on_metrics: receives training and validation figures.
        masking: spans of the sources that are masked in training.
        mask_valid: mask the sources of the validation set too.
        initial: a checkpoint of the same architecture and dictionary whose weights the training begins with.
        name: what the progress bar shows: `translator`, or the part of section `translator` that this is.

    Raises:
        TrainingError: the training diverged, fairseq crashed, or there is no `<mask>` in the dictionary to mask with.
    """
    from tongyeok_fairseq import translation_train  # noqa: PLC0415  the room opens late

    return translation_train.train(
        bin_folder,
        architecture=architecture,
        optimisation=optimisation,
        report_every=report_every,
        validate_every=validate_every,
        scratch=scratch,
        on_metrics=on_metrics,
        masking=masking,
        mask_valid=mask_valid,
        initial=initial,
        name=name,
    )


class UnitTranslator:
    """A trained translator: tagged unit sentences in, units out."""

    _room: "Translator"

    def __init__(self, checkpoint: Path, dictionary: Path, *, device: str) -> None:
        """Load `checkpoint.pt` and `dict.txt`.

        Raises:
            CheckpointError: the checkpoint does not load safely or was made for another dictionary.
        """
        from tongyeok_fairseq.translation_generate import Translator  # noqa: PLC0415  the room opens late

        self._room = Translator(checkpoint, dictionary, device=device)

    def translate(
        self,
        sources: Sequence[str],
        *,
        tag: str,
        beam: int,
        length_penalty: float = 1.0,
        longest_per_token: float = 2.0,
        longest_extra: int = 50,
        batch_tokens: int = 4_000,
    ) -> list[Int[np.ndarray, " units"]]:
        """Translate sentences into one language by beam search.

        A hypothesis does not depend on the other sentences of the call, and has at least one unit and no tag.

        Args:
            sources: tagged source sentences without repeats, as in the bitext: `<ko> 12 5` or `<s> 12 5 </s> [ko]`.
            tag: the target language's tag, `<en>` or `[en]`.
            beam: hypotheses kept per sentence; 1 is greedy.
            length_penalty: exponent of the length that a score is divided by; above 1 favours long hypotheses.
            longest_per_token: most target tokens per source token, …
            longest_extra: … plus this many.
            batch_tokens: source tokens, padding included, that are searched at a time.

        Returns:
            Unit ids of each source, in the order of `sources`.

        Raises:
            ValueError: a token is not in the dictionary.
        """
        return self._room.translate(
            sources,
            tag=tag,
            beam=beam,
            length_penalty=length_penalty,
            longest_per_token=longest_per_token,
            longest_extra=longest_extra,
            batch_tokens=batch_tokens,
        )
