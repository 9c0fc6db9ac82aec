"""Join utterances of one group into translation pairs, direction by direction, within one split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, permutations
from pathlib import Path

from tongyeok.base.utterances import Utterance
from tongyeok.errors import ManifestError
from tongyeok.unit2unit.tags import language_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Direction:
    """From one language into another; written `ko-en`."""

    source: str
    target: str

    def __str__(self) -> str:
        """The direction as it stands in parameters and reports."""
        return f"{self.source}-{self.target}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two utterances of one group in different languages."""

    source: Utterance
    target: Utterance


def directions(
    wanted: str | Sequence[str], languages: Sequence[str], *, field: str = "directions"
) -> tuple[Direction, ...]:
    """The wanted directions, in order.

    Args:
        wanted: `all` for every ordered pair of `languages`, or a list such as `["ko-en", "es-en"]`.
        languages: the languages that units exist for.
        field: the parameter that is named in messages.

    Raises:
        ValueError: a direction is malformed, unknown, from a language into itself, or stands twice.
    """
    if wanted == "all":
        return tuple(Direction(source=source, target=target) for source, target in permutations(languages, 2))
    chosen = []
    for text in wanted:
        source, _, target = text.partition("-")
        if source not in languages or target not in languages or source == target:
            raise ValueError(
                f"{field}: expected `source-target` of two languages among {', '.join(languages)}, got {text!r}"
            )
        chosen.append(Direction(source=source, target=target))
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"{field}: expected `all` or a list of different directions, got {list(wanted)!r}")
    return tuple(chosen)


def direction_of(source: str, target: str) -> Direction:
    """The direction of a pair of tagged sentences."""
    return Direction(source=language_of(source), target=language_of(target))


def directions_in(bitext: Path, split: str) -> set[Direction]:
    """The directions that a split of a bitext folder has pairs of.

    Raises:
        ManifestError: the folder lacks the split.
    """
    paths = [bitext / f"{split}.{side}" for side in ("src", "tgt")]
    for path in paths:
        if not path.is_file():
            raise ManifestError(f"{path}: no such file; run the stage `bitext` first")
    with paths[0].open(encoding="utf-8") as sources, paths[1].open(encoding="utf-8") as targets:
        return {direction_of(*lines) for lines in zip(sources, targets, strict=True)}


def check_groups(splits: Mapping[str, Iterable[Utterance]]) -> None:
    """Make sure that no group has utterances in two splits.

    Raises:
        ManifestError: a group does.
    """
    owner: dict[str, tuple[str, str]] = {}
    for split, utterances in splits.items():
        for utterance in utterances:
            first, utt = owner.setdefault(utterance.group, (split, utterance.utt))
            if first != split:
                raise ManifestError(
                    f"group {utterance.group!r} stands in two splits: {utt} in {first}, {utterance.utt} in {split}; "
                    "a sentence seen in training would be tested: rebuild `manifest`"
                )


def join(utterances: Iterable[Utterance], direction: Direction, *, per_group: int) -> list[Pair]:
    """Pairs of one direction, in corpus order.

    Of a group with S source and T target recordings, up to `per_group` of the S x T pairs are taken: first every source
    with a target of its own, then every source with the next target, and so on, so that few pairs are different voices.
    """
    groups: dict[str, tuple[list[Utterance], list[Utterance]]] = {}
    for utterance in utterances:
        sides = groups.setdefault(utterance.group, ([], []))
        if utterance.lang == direction.source:
            sides[0].append(utterance)
        elif utterance.lang == direction.target:
            sides[1].append(utterance)
    pairs: list[Pair] = []
    for sources, targets in groups.values():
        crossed = (
            Pair(source=source, target=targets[(position + shift) % len(targets)])
            for shift in range(len(targets))
            for position, source in enumerate(sources)
        )
        pairs.extend(islice(crossed, per_group))
    return pairs


def references(utterances: Iterable[Utterance], direction: Direction) -> list[Pair]:
    """Every source utterance with exactly one reference: the first of its group in corpus order."""
    rows = list(utterances)
    first: dict[str, Utterance] = {}
    for utterance in rows:
        if utterance.lang == direction.target:
            first.setdefault(utterance.group, utterance)
    return [
        Pair(source=utterance, target=first[utterance.group])
        for utterance in rows
        if utterance.lang == direction.source and utterance.group in first
    ]
