"""Stage `recognizer`: fine-tune the last HuBERT with CTC on the corpus's training texts, then leave it alone.

It hears languages that no public model understands. It learns from training groups only, is chosen on validation data,
and is frozen when it judges; that it was trained on the same corpus stands in its name wherever it is quoted.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE, read_location
from tongyeok.base.error_rates import cer, wer
from tongyeok.base.files import write_json, write_text
from tongyeok.base.manifests import Manifest, absolute_manifest, read_manifest, subset, write_manifest
from tongyeok.base.stage import Context
from tongyeok.base.team import here
from tongyeok.base.utterances import Utterance, read_utterances
from tongyeok.engine import recognizer as engine
from tongyeok.engine.recognizer import LABELS, RecognizerConfig, most_letters
from tongyeok.errors import CorpusError, ManifestError, TrainingError
from tongyeok.recognizer.letters import count_symbols, read, spell, spoken

CHECKPOINT = "checkpoint.pt"
HUBERT = "checkpoint.pt"  # what the stage `hubert` leaves
SPLITS = ("train", "valid")
GROUPS = "train.groups"  # one line a row of train.ltr: what it must not judge
HEARD_AT_ONCE = 64  # clips in memory
CURVES = {  # column of curves.csv -> fairseq's figure; loss in bits per sentence, letter errors in percent
    "train_loss": "train/loss",
    "gradient_norm": "train/gnorm",
    "learning_rate": "train/lr",
    "valid_loss": "valid/loss",
    "valid_letter_errors": "valid/uer",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Recordings with texts, their splits, and the HuBERT to start from."""

    corpus: Path
    manifest: Path
    hubert: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSplit:
    """One split's recordings in the wanted languages, with their symbols, row by row; and how many were left out."""

    manifest: Manifest
    utterances: Sequence[Utterance]
    lines: Sequence[Sequence[str]]
    left_out: int


def check_apart(manifest: Path, utterances: Mapping[str, Utterance]) -> None:
    """Refuse splits that share a group: a recogniser trained on a test sentence would judge it too kindly.

    Raises:
        ManifestError: a group of the training split also lies in another.
    """
    groups = {
        split: {utterances[utt].group for utt in read_manifest(manifest, split).utts if utt in utterances}
        for split in ("train", "valid", "test")
    }
    for split in ("valid", "test"):
        shared = sorted(groups["train"] & groups[split])
        if shared:
            raise ManifestError(
                f"{manifest}: group {shared[0]!r} and {len(shared) - 1} more lie in both train and {split}; the "
                "recogniser must not learn what it will judge: split by group (manifest.together) and rebuild"
            )


def label_split(
    manifest: Manifest, utterances: Mapping[str, Utterance], cfg: RecognizerConfig, *, where: str
) -> LabelledSplit:
    """The recordings of one split that can be learnt from.

    Clips outside `shortest_s` to `longest_s`, and those with more letters than CTC can place in their frames, are left
    out.

    Raises:
        CorpusError: a recording lacks its text, a language has no recording, or the corpus does not know one.
        TrainingError: nothing is left.
    """
    keep, lines = [], []
    seen: Counter[str] = Counter()
    for row, (utt, samples) in enumerate(zip(manifest.utts, manifest.samples, strict=True)):
        if utt not in utterances:
            raise CorpusError(f"{where}: the corpus has no utterance {utt!r}; rebuild `manifest`")
        said = utterances[utt]
        if said.lang not in cfg.languages:
            continue
        seen[said.lang] += 1
        symbols = spell(said.text, hangul=cfg.hangul)
        if not symbols:
            raise CorpusError(
                f"{where}: utterance {utt} ({said.lang}) has no text to learn from, got {said.text!r}; give every "
                f"recording in {said.lang} its text, or take {said.lang} out of recognizer.languages"
            )
        repeats = sum(left == right for left, right in pairwise(symbols))
        fits = len(symbols) + repeats <= most_letters(samples)
        if fits and cfg.shortest_s <= samples / SAMPLE_RATE <= cfg.longest_s:
            keep.append(row)
            lines.append(symbols)
    absent = [lang for lang in cfg.languages if not seen[lang]]
    if absent:
        raise CorpusError(
            f"{where}: no recordings in {', '.join(absent)}; take them out of recognizer.languages or add them to "
            "corpus.languages"
        )
    if not keep:
        raise TrainingError(
            f"{where}: none of {seen.total()} clips lasts {cfg.shortest_s} to {cfg.longest_s} s "
            "(recognizer.shortest_s, longest_s) with at most a letter a frame; widen the bounds or check the texts"
        )
    kept = subset(manifest, keep)
    return LabelledSplit(
        manifest=kept,
        utterances=[utterances[utt] for utt in kept.utts],
        lines=lines,
        left_out=seen.total() - len(keep),
    )


def check_alphabet(alphabet: Collection[str], split: LabelledSplit, *, where: str) -> None:
    """Refuse texts that cannot be spelt in the alphabet of the training texts.

    Raises:
        CorpusError: a letter lies outside it.
    """
    for utterance, line in zip(split.utterances, split.lines, strict=True):
        unknown = sorted(set(line).difference(alphabet))
        if unknown:
            raise CorpusError(
                f"{where}: the text of {utterance.utt} ({utterance.lang}) has letters that no training text has: "
                f"{' '.join(unknown)}; got {utterance.text!r}; write it in letters of the training texts, or move "
                f"group {utterance.group!r} to train"
            )


def curves_csv(curves: Sequence[Mapping[str, float]]) -> str:
    """Training and validation curves as a table; empty cells where a figure was not taken."""
    lines = [",".join(["step", *CURVES])]
    for row in curves:
        cells = (f"{row[figure]:.6g}" if figure in row else "" for figure in CURVES.values())
        lines.append(",".join([str(int(row["step"])), *cells]))
    return "\n".join(lines) + "\n"


def transcribe(recogniser: engine.Recognizer, split: LabelledSplit) -> list[str]:
    """What a recogniser hears in each recording."""
    heard: list[str] = []
    places = range(0, len(split.utterances), HEARD_AT_ONCE)
    for start in tqdm(places, desc="hear valid", unit=f"{HEARD_AT_ONCE} clips", disable=None):
        locations = split.manifest.locations[start : start + HEARD_AT_ONCE]
        heard += map(read, recogniser.hear([read_location(split.manifest.root, location) for location in locations]))
    return heard


def errors_by_language(heard: Sequence[str], utterances: Sequence[Utterance]) -> dict[str, float]:
    """`cer/<lang>` and `wer/<lang>` in percent, by language in order."""
    figures: dict[str, float] = {}
    for lang in sorted({utterance.lang for utterance in utterances}):
        pairs = [(found, spoken(said.text)) for found, said in zip(heard, utterances, strict=True) if said.lang == lang]
        found, texts = zip(*pairs, strict=True)
        figures[f"cer/{lang}"] = round(cer(found, texts), 4)
        figures[f"wer/{lang}"] = round(wer(found, texts), 4)
    return figures


def run(cfg: RecognizerConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Write labels and dictionary, train, and write the stripped checkpoint, its curves and its errors on valid.

    Raises:
        CorpusError: a recording lacks its text, or a validation text has a letter that no training text has.
        ManifestError: the training split shares a group with another.
        TrainingError: nothing to learn from, diverged, or crashed.
    """
    utterances = {utterance.utt: utterance for utterance in read_utterances(inputs.corpus)}
    check_apart(inputs.manifest, utterances)
    splits = {
        split: label_split(
            read_manifest(inputs.manifest, split), utterances, cfg, where=str(inputs.manifest / f"{split}.tsv")
        )
        for split in SPLITS
    }
    counts = count_symbols(splits["train"].lines)
    check_alphabet(counts, splits["valid"], where=str(inputs.manifest / "valid.tsv"))
    data = context.scratch / "data"

    def prepare() -> None:
        for name, split in splits.items():
            write_manifest(context.scratch / "manifest", name, split.manifest)
            absolute_manifest(context.scratch / "manifest", name, data / f"{name}.tsv")
            labels = "".join(f"{' '.join(line)}\n" for line in split.lines)
            for folder in (data, outputs):
                write_text(folder / f"{name}.{LABELS}", labels)
        for folder in (data, outputs):
            dictionary = "".join(f"{symbol} {count}\n" for symbol, count in counts.items())
            write_text(folder / f"dict.{LABELS}.txt", dictionary)
        write_text(outputs / GROUPS, "".join(f"{utterance.group}\n" for utterance in splits["train"].utterances))

    here().once(prepare)
    trained = engine.train(
        cfg, hubert=inputs.hubert / HUBERT, data=data, scratch=context.scratch, on_metrics=context.on_metrics
    )
    if not context.leads():
        return {}
    engine.export(trained.checkpoint, outputs / CHECKPOINT)
    write_text(outputs / "curves.csv", curves_csv(trained.curves))
    recogniser = engine.Recognizer(outputs / CHECKPOINT, device="cpu")
    valid = splits["valid"]
    metrics = errors_by_language(transcribe(recogniser, valid), valid.utterances)
    metrics |= {
        "valid_loss": min(row["valid/loss"] for row in trained.curves if "valid/loss" in row),
        "letters": float(len(counts)),
        "clips_left_out": float(sum(split.left_out for split in splits.values())),
    }
    write_json(outputs / "metrics.json", metrics)
    return metrics
