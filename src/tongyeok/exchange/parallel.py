"""Parallel text of units from lists of pairs, drawn into train and valid with a seed.

The guide draws lines, which leaves the reverse direction of a training sentence, or another reading of it, in
validation. Here utterances that pairs connect, directly or over others, are drawn together.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.cluster.hierarchy import DisjointSet

from tongyeok.base.files import write_text
from tongyeok.base.units import Units, read_units, run_lengths, same_source
from tongyeok.errors import ManifestError, UnitError
from tongyeok.unit2unit.tags import PREFIX

Pair = tuple[str, str]


def read_pairs(path: Path) -> list[Pair]:
    """Read `source utterance<TAB>target utterance` lines, as in `<split>.ids` of the stage `bitext`.

    Raises:
        ManifestError: the file is missing, empty or malformed.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if not lines:
        raise ManifestError(f"{path}: expected a list of pairs, got nothing; write `source<TAB>target` lines")
    pairs = []
    for number, line in enumerate(lines, start=1):
        source, tab, target = line.partition("\t")
        if not tab or not source or not target or "\t" in target:
            raise ManifestError(f"{path}:{number}: expected `source<TAB>target`, got {line[:80]!r}; correct it")
        pairs.append((source, target))
    return pairs


def draw_valid(pairs: Sequence[Pair], *, share: float, seed: int) -> list[bool]:
    """Which pairs are for validation: all of a drawn group, until their share of the lines is reached.

    Raises:
        ManifestError: the share is out of range, or one side would be empty.
    """
    if not 0 < share < 1:
        raise ManifestError(f"--valid-percent: expected a share between 0 and 1, got {share}")
    groups = connect(pairs)
    sizes: dict[str, int] = {}
    for source, _ in pairs:
        sizes[groups[source]] = sizes.get(groups[source], 0) + 1
    order = sorted(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311  a draw, no secret
    drawn: set[str] = set()
    lines = 0
    for group in order:
        if lines >= share * len(pairs):
            break
        drawn.add(group)
        lines += sizes[group]
    if lines == len(pairs):
        raise ManifestError(
            f"{len(sizes)} groups of connected pairs leave nothing for training; add pairs of other sentences, or "
            "lower --valid-percent"
        )
    return [groups[source] in drawn for source, _ in pairs]


def connect(pairs: Sequence[Pair]) -> dict[str, str]:
    """Each utterance's group: the first by name of all that pairs connect it with."""
    connected = DisjointSet(utt for pair in pairs for utt in pair)
    for source, target in pairs:
        connected.merge(source, target)
    return {utt: min(group) for group in connected.subsets() for utt in group}


def write_parallel(target: Path, pairs: Sequence[Pair], *, folder: Path, share: float, seed: int) -> dict[str, int]:
    """Write `{train,valid}.{src,tgt,ids}`: a tag and units without repeats, as `bitext` has them.

    Args:
        target: folder to write to.
        pairs: of utterances.
        folder: of the stage `units`, with `<lang>.tsv`.
        share: of the lines for validation.
        seed: of that draw.

    Returns:
        How many pairs each split has.

    Raises:
        ManifestError: the draw leaves nothing.
        UnitError: there are no units, or none of an utterance, or they are of different codebooks.
    """
    sentences = _sentences(folder)
    missing = [utt for pair in pairs for utt in pair if utt not in sentences]
    if missing:
        raise UnitError(f"{folder}: no units for {len(missing)} utterances of the pairs, the first is {missing[0]!r}")
    valid = draw_valid(pairs, share=share, seed=seed)
    counts = {}
    for split, wanted in (("train", False), ("valid", True)):
        rows = [pair for pair, is_valid in zip(pairs, valid, strict=True) if is_valid == wanted]
        write_text(target / f"{split}.src", "".join(f"{sentences[source]}\n" for source, _ in rows))
        write_text(target / f"{split}.tgt", "".join(f"{sentences[other]}\n" for _, other in rows))
        write_text(target / f"{split}.ids", "".join(f"{source}\t{other}\n" for source, other in rows))
        counts[split] = len(rows)
    return counts


def _sentences(folder: Path) -> Mapping[str, str]:
    """`<lang> u u u …` of every utterance of a folder of unit files."""
    files = sorted(folder.glob("*.tsv"))
    if not files:
        raise UnitError(f"{folder}: expected <lang>.tsv of the stage `units`, got none")
    found = {path.stem: read_units(path) for path in files}
    same_source({f"{lang}.tsv": source for lang, (source, _) in found.items()})
    return {utt: _sentence(lang, row) for lang, (_, units) in found.items() for utt, row in units.items()}


def _sentence(lang: str, units: Units) -> str:
    return PREFIX.sentence(lang, run_lengths(units)[0])
