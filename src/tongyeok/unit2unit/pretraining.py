"""Masked unit pre-training: a model learns to see through masked spans before it learns to translate.

UTUT translates pairs whose sources are masked (`learns: translation`). mBART restores each language's own sentences
from what masking leaves of them (`learns: restoration`), which needs no pair of a direction.
"""

import shutil
from pathlib import Path
from typing import Literal

from tongyeok.base.files import write_text
from tongyeok.base.stage import Context
from tongyeok.base.team import here
from tongyeok.config import section
from tongyeok.engine.translation import Architecture, Masking, Optimisation, Trained, binarise, train

SPLITS = ("train", "valid")


@section
class Pretraining:
    """Part `pretraining` of section `translator`."""

    learns: Literal["translation", "restoration"]  # of the bitext's pairs, as UTUT; of each utterance, as mBART
    masking: Masking
    optimisation: Optimisation


def pretrain(
    cfg: Pretraining,
    bitext: Path,
    *,
    architecture: Architecture,
    report_every: int,
    validate_every: int,
    context: Context,
) -> Trained:
    """Train the model that translation begins with.

    Training sources are masked; those of validation only where they are to be restored, as copying would be no test.
    The state lies in `pretraining` below the stage's scratch folder, so that an interrupted run goes on where it was,
    in this phase or the next.

    Raises:
        TrainingError: the training diverged, or the bitext's tags have no `<mask>`.
    """
    folder, restores = context.scratch / "pretraining", cfg.learns == "restoration"
    sentences = folder / "sentences"
    if restores:
        here().once(lambda: binarise_sentences(bitext, sentences, workers=context.threads))
    return train(
        sentences / "bin" if restores else bitext / "bin",
        architecture=architecture,
        optimisation=cfg.optimisation,
        report_every=report_every,
        validate_every=validate_every,
        scratch=folder,
        on_metrics=lambda step, values: context.on_metrics(
            step, {f"pretraining/{name}": value for name, value in values.items()}
        ),
        masking=cfg.masking,
        mask_valid=restores,
        name="pretraining",
    )


def binarise_sentences(bitext: Path, folder: Path, *, workers: int) -> Path:
    """Write every utterance of the bitext's training and validation pairs once, as source and as target.

    Returns:
        The folder of fairseq's binary form.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for split in SPLITS:
        columns = [
            (bitext / f"{split}.{kind}").read_text(encoding="utf-8").splitlines() for kind in ("ids", "src", "tgt")
        ]
        sentences: dict[str, str] = {}
        for ids, *sides in zip(*columns, strict=True):
            sentences.update(zip(ids.split("\t"), sides, strict=True))
        for side in ("src", "tgt"):
            write_text(folder / f"{split}.{side}", "".join(f"{sentence}\n" for sentence in sentences.values()))
    binarise(
        folder, dictionary=bitext / "dict.txt", bin_folder=folder / "bin", workers=workers, whole=True, splits=SPLITS
    )
    return folder / "bin"
