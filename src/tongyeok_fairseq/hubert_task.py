"""HuBERT's pre-training task and criterion: repeatable crops, cheap labels, losses over class logits."""

# ruff: noqa: ANN401  fairseq is untyped

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.hubert_criterion import HubertCriterion, HubertCriterionConfig
from fairseq.data import HubertDataset, data_utils
from fairseq.tasks import register_task
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig, HubertPretrainingTask
from omegaconf import II
from torch import Tensor
from torch.nn import functional

TASK = "tongyeok_hubert_pretraining"
CRITERION = "tongyeok_hubert"


class RepeatableHubertDataset(HubertDataset):  # type: ignore[misc]
    """fairseq's dataset with crops drawn from the batch's first clip and the epoch, not from a shared generator."""

    def __init__(self, *args: Any, seed: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seed = seed
        self._epoch = 1
        self._crops = np.random.default_rng(seed)

    def set_epoch(self, epoch: int) -> None:
        """Called by fairseq's iterator."""
        self._epoch = epoch

    def collater(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Collate clips, cropping repeatably."""
        first = samples[0]["id"] if samples else 0
        self._crops = np.random.default_rng((self._seed, self._epoch, first))
        batch: dict[str, Any] = super().collater(samples)
        return batch

    def crop_to_max_size(self, wav: Tensor, target_size: int) -> tuple[Tensor, int]:
        """A random (or, without `random_crop`, the first) stretch of `target_size` samples, and where it starts."""
        spare = len(wav) - target_size
        start = int(self._crops.integers(spare + 1)) if self.random_crop and spare > 0 else 0
        return wav[start : start + target_size], start


@dataclass
class TongyeokHubertTaskConfig(HubertPretrainingConfig):  # type: ignore[misc]
    """fairseq's configuration and the run's seed."""

    seed: int = field(default=II("common.seed"), metadata={"help": "seed of crops and layer drop"})


class FrameLabels:
    """Turns a line of frame labels into dictionary indices, without fairseq's tokenizer and its per-word look-ups."""

    def __init__(self, dictionary: Any) -> None:
        labels = [int(symbol) for symbol in dictionary.symbols[dictionary.nspecial :] if symbol.isdigit()]
        self._index = np.full(max(labels, default=0) + 1, dictionary.unk(), dtype=np.int64)
        for label in labels:
            self._index[label] = dictionary.index(str(label))

    def __call__(self, line: str) -> Tensor:
        """Indices of one clip's labels."""
        return torch.from_numpy(self._index[np.array(line.split(), dtype=np.int64)])


@register_task(TASK, dataclass=TongyeokHubertTaskConfig)
class TongyeokHubertTask(HubertPretrainingTask):  # type: ignore[misc]
    """fairseq's task over repeatable datasets."""

    def load_dataset(self, split: str, **_options: Any) -> None:
        """Load one split; source: `HubertPretrainingTask.load_dataset`."""
        dictionaries = self.dictionaries
        self.datasets[split] = RepeatableHubertDataset(
            f"{self.cfg.data}/{split}.tsv",
            sample_rate=self.cfg.sample_rate,
            label_paths=[f"{self.get_label_dir()}/{split}.{kind}" for kind in self.cfg.labels],
            label_rates=self.cfg.label_rate,
            pad_list=[dictionary.pad() for dictionary in dictionaries],
            eos_list=[dictionary.eos() for dictionary in dictionaries],
            label_processors=[FrameLabels(dictionary) for dictionary in dictionaries],
            max_keep_sample_size=self.cfg.max_keep_size,
            min_keep_sample_size=self.cfg.min_sample_size,
            max_sample_size=self.cfg.max_sample_size,
            pad_audio=self.cfg.pad_audio,
            normalize=self.cfg.normalize,
            store_labels=False,
            random_crop=self.cfg.random_crop,
            single_target=self.cfg.single_target,
            seed=self.cfg.seed,
        )

    def train_step(
        self, sample: Any, model: Any, criterion: Any, optimizer: Any, update_num: int, **options: Any
    ) -> Any:
        """One forward and backward pass; layer drop draws from numpy's generator, so it is seeded per update."""
        with data_utils.numpy_seed(self.cfg.seed, update_num):
            return super().train_step(sample, model, criterion, optimizer, update_num, **options)


@register_criterion(CRITERION, dataclass=HubertCriterionConfig)
class TongyeokHubertCriterion(HubertCriterion):  # type: ignore[misc]
    """fairseq's criterion for class logits: same loss, sample size and log, with figures that sum across workers."""

    def forward(
        self,
        model: Any,
        sample: Any,
        reduce: bool = True,
        log_pred: bool = False,  # noqa: ARG002
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Loss, its denominator and what to log; source: `HubertCriterion.forward`."""
        output = model(target_list=sample["target_list"], **sample["net_input"])
        loss = output["features_pen"].new_zeros(())
        sample_size = 0
        log: dict[str, Any] = {}
        for kind, is_masked, weight in (("m", True, self.pred_masked_weight), ("u", False, self.pred_nomask_weight)):
            logits = model.get_logits(output, is_masked)
            targets = model.get_targets(output, is_masked)
            assert weight == 0 or logits, f"the model skips the frames that loss {kind} counts"
            for index, (logit, target) in enumerate(zip(logits, targets, strict=True)):
                part = functional.cross_entropy(logit, target, reduction="sum" if reduce else "none")
                log[f"loss_{kind}_{index}"] = part.detach()
                with torch.no_grad():
                    log[f"correct_{kind}_{index}"] = (logit.argmax(-1) == target).sum()
                    log[f"count_{kind}_{index}"] = target.numel()
                if weight > 0:
                    loss = loss + weight * part
            if weight > 0:
                sample_size += targets[0].numel()
        if self.loss_weights is not None:
            extras, names = model.get_extra_losses(output)
            weights = list(self.loss_weights) * (len(extras) if len(self.loss_weights) == 1 else 1)
            for extra, name, weight in zip(extras, names, weights, strict=True):
                term = weight * extra.float() * sample_size
                loss = loss + term
                log[f"loss_{name}"] = term.detach()
        log |= {"loss": loss.detach(), "ntokens": sample_size, "sample_size": sample_size}
        log["nsentences"] = sample["id"].numel()
        return loss, sample_size, log

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Numbers and tensors only, so that several workers need no gathering of pickled objects."""
        return True
