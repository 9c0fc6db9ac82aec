"""Fine-tuning's task and criterion: letters as targets, CTC as loss, letter errors without `editdistance`."""

# ruff: noqa: ANN401  fairseq is untyped

from typing import Any

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.ctc import CtcCriterion, CtcCriterionConfig
from fairseq.tasks import register_task
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torch.nn import functional

from tongyeok_fairseq.hubert_task import RepeatableHubertDataset, TongyeokHubertTask, TongyeokHubertTaskConfig

NAME = "tongyeok_recognizer"


class Letters:
    """Turns a line of a `.ltr` file into dictionary indices."""

    def __init__(self, dictionary: Any) -> None:
        self._dictionary = dictionary

    def __call__(self, line: str) -> Tensor:
        """Indices of one clip's letters."""
        return torch.tensor([self._dictionary.index(symbol) for symbol in line.split()], dtype=torch.long)


@register_task(NAME, dataclass=TongyeokHubertTaskConfig)
class TongyeokRecognizerTask(TongyeokHubertTask):
    """fairseq's `hubert_pretraining` in its `fine_tuning` form, over repeatable datasets."""

    def load_dataset(self, split: str, **_options: Any) -> None:
        """Load one split. Labels are kept in memory: fairseq's offsets into the file are wrong beyond ASCII."""
        dictionary = self.target_dictionary
        self.datasets[split] = RepeatableHubertDataset(
            f"{self.cfg.data}/{split}.tsv",
            sample_rate=self.cfg.sample_rate,
            label_paths=[f"{self.get_label_dir()}/{split}.{kind}" for kind in self.cfg.labels],
            label_rates=self.cfg.label_rate,
            pad_list=[dictionary.pad()],
            eos_list=[dictionary.eos()],
            label_processors=[Letters(dictionary)],
            max_keep_sample_size=self.cfg.max_keep_size,
            min_keep_sample_size=self.cfg.min_sample_size,
            pad_audio=True,
            normalize=self.cfg.normalize,
            store_labels=True,
            random_crop=False,
            single_target=True,
            seed=self.cfg.seed,
        )


@register_criterion(NAME, dataclass=CtcCriterionConfig)
class TongyeokRecognizerCriterion(CtcCriterion):  # type: ignore[misc]
    """fairseq's CTC criterion: same loss and sample size; on validation data also letter errors (`uer`)."""

    def forward(
        self,
        model: Any,
        sample: Any,
        reduce: bool = True,  # noqa: ARG002  fairseq's signature
        **_options: Any,
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss, its denominator and what to log; source: `CtcCriterion.forward`."""
        output = model(**sample["net_input"])
        scores = model.get_normalized_probs(output, log_probs=True).contiguous()
        padding = output["padding_mask"]
        frames = (
            torch.full((scores.size(1),), scores.size(0), dtype=torch.long)
            if padding is None
            else (~padding).long().sum(-1)
        )
        targets, lengths = sample["target"], sample["target_lengths"]
        flat = targets.masked_select((targets != self.pad_idx) & (targets != self.eos_idx))
        with torch.backends.cudnn.flags(enabled=False):
            loss = functional.ctc_loss(
                scores, flat, frames, lengths, blank=self.blank_idx, reduction="sum", zero_infinity=self.zero_infinity
            )
        sentences = targets.size(0)
        size = sentences if self.sentence_avg else sample["ntokens"]
        log = {"loss": loss.detach(), "ntokens": sample["ntokens"], "nsentences": sentences, "sample_size": size}
        if not model.training:
            best = scores.argmax(-1).T.cpu()
            pairs = zip(best, frames.tolist(), targets.cpu(), lengths.tolist(), strict=True)
            log["c_errors"] = sum(
                Levenshtein.distance(collapse(path[:count], blank=self.blank_idx), target[:length].tolist())
                for path, count, target, length in pairs
            )
            log["c_total"] = int(lengths.sum())
        return loss, size, log


def collapse(path: Tensor, *, blank: int) -> list[int]:
    """The letters of a path of frames: repeats once, blanks not at all."""
    letters = path.unique_consecutive()
    found: list[int] = letters[letters != blank].tolist()
    return found
