"""Stage `hubert@i`: pre-train HuBERT by masked prediction of the labels of iteration `previous`."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from tongyeok.base.audio import MFCC_RATE, SAMPLE_RATE, UNIT_RATE
from tongyeok.base.files import write_json, write_text
from tongyeok.base.manifests import Manifest, read_manifest
from tongyeok.base.stage import Context
from tongyeok.engine import hubert as engine
from tongyeok.engine.hubert import HubertConfig
from tongyeok.errors import UnitError

CHECKPOINT = "checkpoint.pt"
SPLITS = ("train", "valid")
TOLERANCE_S = 0.05  # between a clip's length and its labels': MFCC loses 1.5 frames of 100, HuBERT at most 1 of 50
CURVES = {  # column of curves.csv -> fairseq's figure; losses are in bits per frame
    "train_loss": "train/loss",
    "train_masked_accuracy": "train/correct_m_0",
    "gradient_norm": "train/gnorm",
    "learning_rate": "train/lr",
    "valid_loss": "valid/loss",
    "valid_masked_accuracy": "valid/correct_m_0",
    "valid_unmasked_accuracy": "valid/correct_u_0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The manifest and the frame labels to predict."""

    manifest: Path
    labels: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSet:
    """Frame labels of one split, parallel to its manifest."""

    path: Path
    lines: tuple[Int[np.ndarray, " frames"], ...]


def read_labels(folder: Path, split: str) -> LabelSet:
    """Read `<split>.km`: one line of integers per utterance.

    Raises:
        UnitError: the file is missing, or a line holds anything else.
    """
    path = folder / f"{split}.km"
    if not path.is_file():
        raise UnitError(f"{path}: no such label file; run the stage `labels` first")
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            lines.append(np.array(line.split(), dtype=np.int64))
        except ValueError:
            raise UnitError(f"{path}:{number}: expected integers, got {line[:40]!r}; rebuild `labels`") from None
    return LabelSet(path=path, lines=tuple(lines))


def read_clusters(folder: Path) -> int:
    """K, the number of classes in `dict.km.txt`, which must be 0..K-1 in order.

    fairseq makes every label unknown, and the loss 0, when this file is empty, and doubles the classes when it was
    appended to.

    Raises:
        UnitError: the dictionary is missing, empty, or not 0..K-1 once each.
    """
    path = folder / "dict.km.txt"
    if not path.is_file():
        raise UnitError(f"{path}: no such dictionary; run the stage `labels` first")
    symbols = [line.split(" ")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    if not symbols:
        raise UnitError(f"{path}: the dictionary is empty, so every label would be unknown; rebuild `labels`")
    if symbols != [str(index) for index in range(len(symbols))]:
        raise UnitError(f"{path}: expected the {len(symbols)} labels 0..{len(symbols) - 1} in order; rebuild `labels`")
    return len(symbols)


def detect_rate(manifest: Manifest, labels: LabelSet) -> int:
    """Labels a second: 100 (MFCC) or 50 (HuBERT features), from the whole split's lengths.

    Raises:
        UnitError: there is nothing to learn from, or the rate is near neither.
    """
    seconds = sum(manifest.samples) / SAMPLE_RATE
    count = sum(line.size for line in labels.lines)
    if seconds == 0 or count == 0:
        raise UnitError(f"{labels.path}: {count} labels for {seconds:.1f} s of audio; rebuild `manifest` and `labels`")
    rate = min((MFCC_RATE, UNIT_RATE), key=lambda known: abs(known - count / seconds))
    if abs(count / seconds / rate - 1) > 0.1:  # noqa: PLR2004  short clips lose a few per cent at their ends
        raise UnitError(
            f"{labels.path}: {count / seconds:.1f} labels a second; expected {MFCC_RATE} (MFCC) or {UNIT_RATE} "
            "(HuBERT); rebuild `labels` on this manifest"
        )
    return rate


def check_labels(manifest: Manifest, labels: LabelSet, *, rate: int, clusters: int) -> None:
    """Refuse labels that do not belong to the audio, where fairseq only warns.

    Raises:
        UnitError: another number of lines than utterances, a length that does not fit, or a label outside 0..K-1.
    """
    if len(labels.lines) != len(manifest.utts):
        raise UnitError(
            f"{labels.path}: {len(labels.lines)} lines of labels for {len(manifest.utts)} utterances; rebuild `labels`"
        )
    for utt, samples, line in zip(manifest.utts, manifest.samples, labels.lines, strict=True):
        if abs(samples / SAMPLE_RATE - line.size / rate) > TOLERANCE_S:
            raise UnitError(
                f"{labels.path}: utterance {utt}: {line.size} labels at {rate} a second for "
                f"{samples / SAMPLE_RATE:.2f} s of audio; rebuild `labels` on this manifest"
            )
        if line.size and not 0 <= line.min() <= line.max() < clusters:
            raise UnitError(
                f"{labels.path}: utterance {utt}: expected labels in 0..{clusters - 1} (dict.km.txt), "
                f"got {line.min()}..{line.max()}; rebuild `labels`"
            )


def kept_utterances(manifest: Manifest, *, shortest_s: float, where: str) -> int:
    """How many clips are long enough to train on.

    Raises:
        UnitError: none is.
    """
    kept = sum(samples >= shortest_s * SAMPLE_RATE for samples in manifest.samples)
    if not kept:
        longest = max(manifest.samples, default=0) / SAMPLE_RATE
        raise UnitError(
            f"{where}: none of {len(manifest.samples)} clips is {shortest_s} s long (hubert.shortest_s), the longest "
            f"has {longest:.2f} s; lower shortest_s or join clips"
        )
    return kept


def curves_csv(curves: Sequence[Mapping[str, float]]) -> str:
    """Training and validation curves as a table; empty cells where a figure was not taken."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["step", *CURVES])
    for row in curves:
        writer.writerow([int(row["step"]), *(_cell(row.get(figure)) for figure in CURVES.values())])
    return buffer.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def summary(curves: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The final figures: masked accuracy and loss on validation data, and the loss on training data."""
    valid = [row for row in curves if "valid/loss" in row][-1]
    train = [row for row in curves if "train/loss" in row][-1]
    figures = {
        "masked_accuracy": valid["valid/correct_m_0"],
        "valid_loss": valid["valid/loss"],
        "train_loss": train["train/loss"],
    }
    if "valid/correct_u_0" in valid:
        figures["unmasked_accuracy"] = valid["valid/correct_u_0"]
    return figures


def plot(curves: Sequence[Mapping[str, float]], path: Path) -> None:
    """Loss, masked accuracy and gradient norm against updates, for people."""
    from matplotlib.figure import Figure  # noqa: PLC0415  slow to import

    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 3)
    for panel, title, names in zip(
        panels,
        ("loss, bits per frame", "masked accuracy", "gradient norm"),
        (("train/loss", "valid/loss"), ("train/correct_m_0", "valid/correct_m_0"), ("train/gnorm",)),
        strict=True,
    ):
        for name in names:
            points = [(row["step"], row[name]) for row in curves if name in row]
            if points:
                panel.plot(*zip(*points, strict=True), label=name.partition("/")[0])
        panel.set_title(title)
        panel.set_xlabel("update")
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def run(cfg: HubertConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Check the labels against the audio, train, and write the stripped checkpoint and its curves."""
    clusters = read_clusters(inputs.labels)
    dropped, rate = 0, None
    for split in SPLITS:
        manifest, labels = read_manifest(inputs.manifest, split), read_labels(inputs.labels, split)
        rate = rate or detect_rate(manifest, labels)
        check_labels(manifest, labels, rate=rate, clusters=clusters)
        where = str(inputs.manifest / f"{split}.tsv")
        dropped += len(manifest.utts) - kept_utterances(manifest, shortest_s=cfg.shortest_s, where=where)
    assert rate is not None
    trained = engine.train(
        cfg,
        manifest=inputs.manifest,
        labels=inputs.labels,
        label_rate=rate,
        scratch=context.scratch,
        on_metrics=context.on_metrics,
    )
    if not context.leads():
        return {}
    engine.export(trained.checkpoint, outputs / CHECKPOINT)
    write_text(outputs / "curves.csv", curves_csv(trained.curves))
    plot(trained.curves, outputs / "plots" / "curves.png")
    metrics = summary(trained.curves) | {"clusters": float(clusters), "clips_too_short": float(dropped)}
    write_json(outputs / "metrics.json", metrics)
    return metrics
