"""fairseq's `translation` for sentences that end in their language's tag, with spans of the source masked in training.

Source: UTUT's task `utut_pretraining`, built on fairseq's `multilingual_denoising` and on the noise of BART
(`DenoisingDataset`); every masked unit becomes a `<mask>` of its own, so that no length changes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from fairseq.data import LanguagePairDataset
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from jaxtyping import Int
from torch import Tensor

from tongyeok.engine.translation import Masking

TASK = "unit_translation"  # its name in fairseq's registry
MASK = "<mask>"


def draw_spans(
    length: int, masking: Masking, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " spans"], Int[np.ndarray, " spans"]]:
    """Starts and lengths of the spans to mask in a sentence of `length` tokens, its first and last never among them.

    Lengths are Poisson-distributed and cut where their sum reaches the share of the sentence; spans may overlap or run
    into the sentence's end, and then mask less. As in UTUT, the `</s>` before the tag may be masked too; and unlike in
    BART, an empty span inserts no mask.
    """
    inner = length - 2
    budget = int(np.ceil(np.float32(inner) * np.float32(masking.share)))  # in float32, as fairseq computes it
    lengths = np.zeros(0, dtype=np.int64)
    while lengths.sum() < budget:
        lengths = np.append(lengths, rng.poisson(masking.span_mean, size=budget))
    last = int(np.searchsorted(np.cumsum(lengths), budget))
    lengths = lengths[: last + 1].copy()
    lengths[last] -= lengths.sum() - budget
    lengths = lengths[lengths > 0]
    return rng.permutation(inner)[: lengths.size] + 1, lengths


def mask_spans(tokens: Tensor, starts: np.ndarray, lengths: np.ndarray, *, mask: int) -> Tensor:
    """A copy of `tokens` with every token of the spans replaced by `mask`, its first and last kept."""
    covered = np.zeros(len(tokens) + 1, dtype=np.int64)
    np.add.at(covered, starts, 1)
    np.add.at(covered, np.minimum(starts + lengths, len(tokens) - 1), -1)
    return tokens.masked_fill(torch.from_numpy(np.cumsum(covered)[:-1] > 0), mask)


class TaggedPairs(LanguagePairDataset):  # type: ignore[misc]
    """Pairs whose decoder input begins with the target's last token, its tag, in place of the end mark.

    Masks depend on seed, epoch and sentence alone: a resumed training sees those of an uninterrupted one.
    """

    def __init__(self, pairs: LanguagePairDataset, *, masking: Masking | None, mask: int, seed: int) -> None:
        """Take over fairseq's pairs; `mask` is the index of `<mask>`."""
        super().__init__(
            *(pairs.src, pairs.src_sizes, pairs.src_dict, pairs.tgt, pairs.tgt_sizes, pairs.tgt_dict),
            left_pad_source=pairs.left_pad_source,
            left_pad_target=pairs.left_pad_target,
            shuffle=pairs.shuffle,
        )
        self.eos = None  # fairseq then moves each target's own last token to the beginning
        self.masking, self.mask, self.seed, self.epoch = masking, mask, seed, 1

    def set_epoch(self, epoch: int) -> None:
        """Draw the masks of this epoch; fairseq's signature."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A pair, its source masked where that is wanted."""
        item: dict[str, Any] = super().__getitem__(index)
        if self.masking is not None:
            rng = np.random.default_rng([self.seed, self.epoch, int(index)])
            starts, lengths = draw_spans(len(item["source"]), self.masking, rng)
            item["source"] = mask_spans(item["source"], starts, lengths, mask=self.mask)
        return item


@dataclass
class UnitTranslationConfig(TranslationConfig):  # type: ignore[misc]
    """fairseq's own options of `translation`, and masking."""

    mask_share: float = field(default=0.0, metadata={"help": "share of a source sentence in masked spans"})
    mask_span_mean: float = field(default=10.0, metadata={"help": "mean of the spans' Poisson-distributed length"})
    mask_valid: bool = field(default=False, metadata={"help": "mask the sources of the validation set too"})
    mask_seed: int = field(default=1, metadata={"help": "seed of the masks"})


@register_task(TASK, dataclass=UnitTranslationConfig)
class UnitTranslationTask(TranslationTask):  # type: ignore[misc]
    """Translation between sentences such as `<s> 12 5 </s> [ko]`."""

    def load_dataset(self, split: str, epoch: int = 1, combine: bool = False, **options: Any) -> None:  # noqa: ANN401
        """Load a split; fairseq's signature."""
        super().load_dataset(split, epoch=epoch, combine=combine, **options)
        cfg = self.cfg
        masked = cfg.mask_share > 0 and (split == "train" or cfg.mask_valid)
        self.datasets[split] = TaggedPairs(
            self.datasets[split],
            masking=Masking(share=cfg.mask_share, span_mean=cfg.mask_span_mean) if masked else None,
            mask=self.src_dict.index(MASK),
            seed=cfg.mask_seed,
        )
