"""Stage `manifest`: put whole groups into train, valid and test, and list each split as a fairseq manifest."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scipy.cluster.hierarchy import DisjointSet

from tongyeok.base.audio import SAMPLE_RATE
from tongyeok.base.files import write_json
from tongyeok.base.manifests import SPLITS, Manifest, write_manifest
from tongyeok.base.stage import Context
from tongyeok.base.utterances import Utterance, read_utterances
from tongyeok.config import section
from tongyeok.errors import ManifestError


@section
class ManifestConfig:
    """Where splits come from, and which utterances are left out.

    A split never shares a group with another; with `together: speaker` it shares no speaker either.
    """

    splits: Literal["official", "seeded"]  # the corpus's own, or drawn here
    together: Literal["group", "speaker"]  # what must not be torn apart
    valid: float  # seeded: groups if 1 or more, else their share
    test: float  # seeded: groups if 1 or more, else their share
    seed: int  # seeded: which groups are held out
    min_seconds: float  # shorter utterances are left out
    max_seconds: float  # longer utterances are left out

    def __post_init__(self) -> None:
        """Check the rules."""
        for name, value in (("valid", self.valid), ("test", self.test)):
            if value <= 0 or (value >= 1 and value != int(value)):
                raise ValueError(
                    f"{name}: expected a whole number of groups or a share between 0 and 1, got {value}; correct it"
                )
        if not 0 <= self.min_seconds < self.max_seconds:
            raise ValueError(
                f"min_seconds: expected 0 to below max_seconds {self.max_seconds}, got {self.min_seconds}; lower it"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """`corpus`: output folder of the stage `corpus`."""

    corpus: Path


def run(cfg: ManifestConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:  # noqa: ARG001  same for all stages
    """Write `{train,valid,test}.{tsv,utt}` over all languages, in the corpus's order.

    Raises:
        ManifestError: an official split is missing, unknown or torn, or a split would be empty.
    """
    utterances = read_utterances(inputs.corpus)
    kept = [u for u in utterances if cfg.min_seconds <= u.samples / SAMPLE_RATE <= cfg.max_seconds]
    split_of = official(kept, together=cfg.together) if cfg.splits == "official" else seeded(kept, cfg)
    members = {split: [u for u in kept if split_of[u.group] == split] for split in SPLITS}
    check_complete(members)
    for split, chosen in members.items():
        manifest = Manifest(
            root=inputs.corpus,
            utts=tuple(u.utt for u in chosen),
            locations=tuple(u.audio for u in chosen),
            samples=tuple(u.samples for u in chosen),
        )
        write_manifest(outputs, split, manifest)
    metrics = summary(members) | {"left_out": float(len(utterances) - len(kept))}
    write_json(outputs / "metrics.json", metrics)
    return metrics


def official(utterances: Sequence[Utterance], *, together: Literal["group", "speaker"]) -> dict[str, str]:
    """Split of each group as the corpus says.

    Raises:
        ManifestError: an utterance has no split or an unknown one, or a group (or speaker) stands in two.
    """
    first: dict[str, Utterance] = {}
    for utterance in utterances:
        if utterance.split not in SPLITS:
            raise ManifestError(
                f"utterance {utterance.utt}: expected an official split of {', '.join(SPLITS)}, got "
                f"{utterance.split!r}; correct the corpus, or set manifest.splits to `seeded`"
            )
        for key, named in _keys(utterance, together=together):
            other = first.setdefault(key, utterance)
            if other.split != utterance.split:
                raise ManifestError(
                    f"{named}: expected one split, got {other.split} (utterance {other.utt}) and "
                    f"{utterance.split} (utterance {utterance.utt}); correct the corpus, or set manifest.splits to "
                    "`seeded`"
                )
    return {utterance.group: utterance.split for utterance in utterances}


def seeded(utterances: Sequence[Utterance], cfg: ManifestConfig) -> dict[str, str]:
    """Split of each group, drawn with `cfg.seed`.

    Groups that say the same text in the same language, or share a speaker where asked, go together. The draw does not
    depend on the utterances' order.

    Raises:
        ManifestError: fewer groups than are to be held out.
    """
    clusters = _clusters(utterances, together=cfg.together)
    random.Random(cfg.seed).shuffle(clusters)  # noqa: S311  not a secret
    total = sum(len(cluster) for cluster in clusters)
    shared = "a text or a speaker" if cfg.together == "speaker" else "a text"
    split_of: dict[str, str] = {}
    for split, size in (("test", cfg.test), ("valid", cfg.valid)):
        wanted = int(size) if size >= 1 else max(1, round(size * total))
        taken = 0
        while taken < wanted:
            fitting = next((i for i, cluster in enumerate(clusters) if len(cluster) <= wanted - taken), None)
            if fitting is None:
                break
            cluster = clusters.pop(fitting)
            taken += len(cluster)
            split_of |= dict.fromkeys(cluster, split)
        if taken < wanted:
            raise ManifestError(
                f"manifest.{split}: expected {wanted} of {total} groups that can be held out whole, got {taken} "
                f"(groups that share {shared} stay together); lower it"
            )
    return split_of | {group: "train" for cluster in clusters for group in cluster}


def check_complete(members: Mapping[str, Sequence[Utterance]]) -> None:
    """Every split needs utterances of every language.

    Raises:
        ManifestError: a language is missing in a split.
    """
    languages = sorted({u.lang for chosen in members.values() for u in chosen})
    for split, chosen in members.items():
        missing = [lang for lang in languages if lang not in {u.lang for u in chosen}]
        if missing or not chosen:
            raise ManifestError(
                f"{split}: expected utterances in {', '.join(languages) or 'some language'}, got none in "
                f"{', '.join(missing) or 'any'}; hold out more groups, or correct the corpus's splits"
            )


def summary(members: Mapping[str, Sequence[Utterance]]) -> dict[str, float]:
    """Hours, utterances and groups of each split; held-out utterances whose very text stands in training."""
    known = {(u.lang, u.text) for u in members["train"] if u.text}
    metrics: dict[str, float] = {}
    for split, chosen in members.items():
        metrics[f"hours/{split}"] = round(sum(u.samples for u in chosen) / SAMPLE_RATE / 3600, 4)
        metrics[f"utterances/{split}"] = float(len(chosen))
        metrics[f"groups/{split}"] = float(len({u.group for u in chosen}))
    held_out = [u for split in ("valid", "test") for u in members[split]]
    metrics["texts_seen_in_training"] = float(sum((u.lang, u.text) in known for u in held_out))
    return metrics


def _keys(utterance: Utterance, *, together: Literal["group", "speaker"]) -> list[tuple[str, str]]:
    """What ties an utterance to others: a key, and how to name it in a message."""
    keys = [(f"group\t{utterance.group}", f"group {utterance.group}")]
    if together == "speaker":
        if not utterance.speaker:
            raise ManifestError(
                f"utterance {utterance.utt}: expected a speaker, got none; name the speakers, or set "
                "manifest.together to `group`"
            )
        keys.append((f"speaker\t{utterance.speaker}", f"speaker {utterance.speaker}"))
    return keys


def _clusters(utterances: Iterable[Utterance], *, together: Literal["group", "speaker"]) -> list[list[str]]:
    """Sorted groups that must share a split, connected by groups, texts and speakers."""
    connected: DisjointSet = DisjointSet()
    groups = set()
    for utterance in utterances:
        group, *others = [key for key, _ in _keys(utterance, together=together)]
        if utterance.text:
            others.append(f"text\t{utterance.lang}\t{utterance.text}")
        groups.add(utterance.group)
        connected.add(group)
        for key in others:
            connected.add(key)
            connected.merge(group, key)
    clusters: defaultdict[str, list[str]] = defaultdict(list)
    for group in sorted(groups):
        clusters[connected[f"group\t{group}"]].append(group)
    return sorted(clusters.values())
