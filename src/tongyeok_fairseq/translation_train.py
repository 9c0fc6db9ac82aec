"""Train the many-to-many Transformer with fairseq's `translation` task."""

from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary, data_utils

from tongyeok.base.division import divide
from tongyeok.base.products import multiplies_bfloat16
from tongyeok.base.stage import OnMetrics
from tongyeok.base.team import here
from tongyeok.engine.translation import Architecture, Masking, Optimisation, Trained
from tongyeok.errors import TrainingError
from tongyeok_fairseq import muon, training, translation_fast, translation_loss, translation_model, translation_task
from tongyeok_fairseq.safety import load_checkpoint
from tongyeok_fairseq.translation_data import SOURCE, TARGET

LEAST_POSITIONS = 1024  # fairseq's default; sinusoidal positions cost nothing


def train(
    bin_folder: Path,
    *,
    architecture: Architecture,
    optimisation: Optimisation,
    report_every: int,
    validate_every: int,
    scratch: Path,
    on_metrics: OnMetrics,
    masking: Masking | None,
    mask_valid: bool,
    initial: Path | None,
    name: str,
) -> Trained:
    """Train; see `tongyeok.engine.translation.train`."""
    longest = longest_sentence(bin_folder)
    if longest > optimisation.tokens_per_batch:
        raise TrainingError(
            f"optimisation.tokens_per_batch: expected at least {longest}, the longest sentence of the bitext, got "
            f"{optimisation.tokens_per_batch}; raise it"
        )
    values = translation_model.arguments(architecture, max_positions=max(LEAST_POSITIONS, longest))
    config = configuration(
        bin_folder, values, optimisation=optimisation, report_every=report_every, validate_every=validate_every
    )
    config["task"] |= tagged_task(bin_folder, masking, mask_valid=mask_valid, seed=optimisation.seed)
    if initial is not None:
        config["model"]["initial"] = str(initial.resolve())
    team = here()
    tokens, batches = optimisation.tokens_per_batch, optimisation.batches_per_update
    section = "translator" if name == "translator" else f"translator.{name}"
    division = divide(
        name,
        team.size,
        batches=batches,
        size=tokens,
        unit="tokens",
        learning_rate=optimisation.learning_rate,
        remedy=lambda more: (
            f"{section}.optimisation.tokens_per_batch={tokens * batches // more} "
            f"{section}.optimisation.batches_per_update={more}"
        ),
    )
    trained = training.train(
        config, scratch=scratch, division=division, on_metrics=on_metrics, lower_lr_on_divergence=False
    )
    finished = {kind: scratch / f"{kind}.pt" for kind in ("last", "best")}

    def strip() -> None:
        for kind, path in (("last", trained.last), ("best", trained.best)):
            weights = load_checkpoint(path)["model"]
            translation_model.write_checkpoint(finished[kind], weights, values, updates=trained.updates)

    team.once(strip)
    return Trained(
        last=finished["last"],
        best=finished["best"],
        updates=trained.updates,
        parameters=count_parameters(bin_folder, values),
        curves=trained.curves,
    )


def configuration(
    bin_folder: Path,
    values: dict[str, Any],
    *,
    optimisation: Optimisation,
    report_every: int,
    validate_every: int,
) -> dict[str, dict[str, Any]]:
    """The training as fairseq's configuration groups."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    products = optimisation.products if multiplies_bfloat16(device) else "float32"
    schedule: dict[str, Any] = {"warmup_updates": optimisation.warmup_updates}
    if optimisation.schedule == "polynomial":
        schedule |= {"_name": "polynomial_decay", "total_num_update": optimisation.updates, "end_learning_rate": 0.0}
    else:
        schedule |= {"_name": "inverse_sqrt", "warmup_init_lr": 0.0}
    return {
        "common": {"seed": optimisation.seed, "log_interval": report_every},
        "task": {
            "_name": "translation",
            "data": str(bin_folder.resolve()),
            "source_lang": SOURCE,
            "target_lang": TARGET,
            "max_source_positions": values["max_source_positions"],
            "max_target_positions": values["max_target_positions"],
        },
        "model": {"_name": translation_fast.MODEL, "arch": translation_fast.MODEL, "products": products, **values},
        "criterion": {
            "_name": translation_loss.CRITERION,
            "label_smoothing": optimisation.label_smoothing,
        },
        "optimizer": {
            "_name": muon.OPTIMIZER if optimisation.optimizer == "muon" else translation_loss.OPTIMIZER,
            "adam_betas": str(optimisation.adam_betas),
            "weight_decay": optimisation.weight_decay,
        },
        "lr_scheduler": schedule,
        "optimization": {
            "max_update": optimisation.updates,
            "lr": [optimisation.learning_rate],
            "clip_norm": optimisation.clip_norm,
            "update_freq": [optimisation.batches_per_update],
        },
        "dataset": {
            "max_tokens": optimisation.tokens_per_batch,
            "max_tokens_valid": optimisation.tokens_per_batch,
            "num_workers": 0,
        },
        "checkpoint": {
            "save_interval_updates": validate_every,
            "best_checkpoint_metric": "loss",
            "patience": optimisation.patience or -1,
        },
    }


def tagged_task(bin_folder: Path, masking: Masking | None, *, mask_valid: bool, seed: int) -> dict[str, Any]:
    """The task's options for sentences that end in a tag, which a `<mask>` in the dictionary tells; none for others.

    Raises:
        TrainingError: spans are to be masked, and the dictionary has no `<mask>`.
    """
    if translation_task.MASK not in Dictionary.load(str(bin_folder / f"dict.{SOURCE}.txt")).indices:
        if masking is not None:
            raise TrainingError(
                f"masking: the dictionary of {bin_folder} has no {translation_task.MASK}; take bitext.tags: utut, or "
                "put null for pretraining and source_masking"
            )
        return {}
    options: dict[str, Any] = {"_name": translation_task.TASK}
    if masking is not None:
        options |= {"mask_share": masking.share, "mask_span_mean": masking.span_mean}
        options |= {"mask_valid": mask_valid, "mask_seed": seed}
    return options


def longest_sentence(bin_folder: Path) -> int:
    """Tokens of the longest sentence on either side of training and validation, its end mark counted."""
    longest = 0
    for split in ("train", "valid"):
        for side in (SOURCE, TARGET):
            dataset = data_utils.load_indexed_dataset(str(bin_folder / f"{split}.{SOURCE}-{TARGET}.{side}"), None)
            longest = max(longest, int(dataset.sizes.max()))  # a view: the dataset must live while it is read
    return longest


def count_parameters(bin_folder: Path, values: dict[str, Any]) -> int:
    """Trained numbers of a model, shared ones counted once."""
    dictionary = Dictionary.load(str(bin_folder / f"dict.{SOURCE}.txt"))
    return sum(parameter.numel() for parameter in translation_model.build(values, dictionary).parameters())
