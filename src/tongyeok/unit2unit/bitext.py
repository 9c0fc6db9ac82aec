"""Stage `bitext`: pairs of de-duplicated unit sentences in every direction, as text and binarised for fairseq."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tongyeok.base.files import write_json, write_text
from tongyeok.base.manifests import SPLITS, read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.units import Units, UnitSource, read_units, run_lengths, same_source
from tongyeok.base.utterances import TABLE, Utterance, read_utterances
from tongyeok.config import section
from tongyeok.engine import translation
from tongyeok.errors import ManifestError, UnitError
from tongyeok.unit2unit import pairs
from tongyeok.unit2unit.tags import tag


@section
class BitextConfig:
    """Section `bitext`."""

    languages: tuple[str, ...]  # ISO 639; their order is the order of the tags in dict.txt
    directions: Literal["all"] | tuple[str, ...]  # `all` ordered pairs of languages, or a list like [ko-en, es-en]
    tags: Literal["prefix"]  # `<ko> 12 5 …`: the tag leads each side, the target's is forced at decoding
    max_tokens: int  # longest sentence with its tag and end mark, in tokens; the translator's positions end there
    train_repeats: dict[str, int]  # how often a training pair into a language stands in a pass; once where not named
    pairs_per_group: int  # training pairs of a group per direction, where several speakers say it

    def __post_init__(self) -> None:
        """Check the rules."""
        if len(self.languages) < 2 or len(set(self.languages)) != len(self.languages):  # noqa: PLR2004  a pair
            raise ValueError(f"languages: expected at least two different ones, got {list(self.languages)}; add one")
        pairs.directions(self.directions, self.languages)
        if self.max_tokens < 3:  # noqa: PLR2004  tag, unit, end
            raise ValueError(f"max_tokens: expected at least 3 (tag, unit, end mark), got {self.max_tokens}; raise it")
        for lang, times in self.train_repeats.items():
            if lang not in self.languages or times < 1:
                raise ValueError(
                    f"train_repeats: expected languages of {list(self.languages)} and counts of at least 1, "
                    f"got {lang}: {times}; correct or remove it"
                )
        if self.pairs_per_group < 1:
            raise ValueError(f"pairs_per_group: expected at least 1, got {self.pairs_per_group}; raise it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Folders that this stage reads."""

    corpus: Path
    manifest: Path
    units: Path


def run(cfg: BitextConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Write `{train,valid,test}.{src,tgt,ids}`, `dict.txt` and fairseq's binarised `bin/`.

    Raises:
        ManifestError: manifest and corpus disagree, a group stands in two splits, or a direction has no pair.
        UnitError: units are missing, of different origin, or a sentence is too long.
    """
    corpus = read_utterances(inputs.corpus)
    splits = {
        split: in_split(corpus, read_manifest(inputs.manifest, split).utts, cfg.languages, split=split)
        for split in SPLITS
    }
    pairs.check_groups(splits)
    source, units = _read_all_units(inputs.units, cfg.languages)
    check_complete(splits, units)

    write_text(outputs / "dict.txt", dictionary(source.clusters, cfg.languages))
    metrics: dict[str, float] = {}
    for split, utterances in splits.items():
        joined = join_split(utterances, cfg, split=split)
        lines = [(sentence(pair.source, units), sentence(pair.target, units)) for pair in joined]
        check_lengths(joined, lines, max_tokens=cfg.max_tokens)
        write_text(outputs / f"{split}.src", "".join(f"{line}\n" for line, _ in lines))
        write_text(outputs / f"{split}.tgt", "".join(f"{line}\n" for _, line in lines))
        write_text(outputs / f"{split}.ids", "".join(f"{pair.source.utt}\t{pair.target.utt}\n" for pair in joined))
        metrics[f"{split}_pairs"] = float(len(joined))
        metrics[f"{split}_tokens_mean"] = sum(len(line.split()) + 1 for _, line in lines) / len(lines)
    translation.binarise(outputs, dictionary=outputs / "dict.txt", bin_folder=outputs / "bin", workers=context.threads)
    write_json(outputs / "metrics.json", metrics)
    return metrics


def in_split(
    corpus: Sequence[Utterance], utts: Sequence[str], languages: Sequence[str], *, split: str
) -> list[Utterance]:
    """The utterances of a split in the wanted languages, in corpus order.

    Raises:
        ManifestError: the manifest names an utterance that the corpus does not have.
    """
    wanted = set(utts)
    found = [utterance for utterance in corpus if utterance.utt in wanted]
    if len(found) != len(wanted):
        strangers = sorted(wanted - {utterance.utt for utterance in found})
        raise ManifestError(
            f"{split}.utt: {len(strangers)} utterances are not in the corpus's {TABLE}, the first is {strangers[0]!r}; "
            "rebuild `manifest`"
        )
    return [utterance for utterance in found if utterance.lang in languages]


def check_complete(splits: Mapping[str, Sequence[Utterance]], units: Mapping[str, Units]) -> None:
    """Make sure that every utterance of the manifest has units, at least one.

    Raises:
        UnitError: some do not; the message counts them and names the first.
    """
    missing = [row for rows in splits.values() for row in rows if row.utt not in units or not units[row.utt].size]
    if missing:
        raise UnitError(
            f"{missing[0].lang}.tsv: no units for {len(missing)} utterances of the manifest, the first is "
            f"{missing[0].utt!r}; rebuild `units`"
        )


def join_split(utterances: Sequence[Utterance], cfg: BitextConfig, *, split: str) -> list[pairs.Pair]:
    """Pairs of every direction in turn: several a group for training, one reference a source for valid and test.

    Raises:
        ManifestError: a direction has no pair.
    """
    joined = []
    for direction in pairs.directions(cfg.directions, cfg.languages):
        found = (
            pairs.join(utterances, direction, per_group=cfg.pairs_per_group)
            if split == "train"
            else pairs.references(utterances, direction)
        )
        if not found:
            raise ManifestError(
                f"{split}: no group has both languages of {direction}; add such recordings, or list only directions "
                "that have some in bitext.directions"
            )
        joined += found * (cfg.train_repeats.get(direction.target, 1) if split == "train" else 1)
    return joined


def sentence(utterance: Utterance, units: Mapping[str, Units]) -> str:
    """One side of a pair: `<lang>` and the units without adjacent repeats."""
    distinct, _ = run_lengths(units[utterance.utt])
    return " ".join([tag(utterance.lang), *map(str, distinct.tolist())])


def check_lengths(joined: Sequence[pairs.Pair], lines: Sequence[tuple[str, str]], *, max_tokens: int) -> None:
    """Make sure that no sentence is longer than `max_tokens`, its end mark included.

    Raises:
        UnitError: one is.
    """
    for pair, sides in zip(joined, lines, strict=True):
        for utterance, line in zip((pair.source, pair.target), sides, strict=True):
            tokens = len(line.split()) + 1
            if tokens > max_tokens:
                raise UnitError(
                    f"{utterance.utt}: expected at most {max_tokens} tokens (bitext.max_tokens), got {tokens}; raise "
                    "it, or leave long recordings out in `manifest`"
                )


def dictionary(clusters: int, languages: Sequence[str]) -> str:
    """`dict.txt` as fairseq's `--srcdict` reads it: unit ids in order, then the tags; each counts 1, unused."""
    return "".join(f"{symbol} 1\n" for symbol in [*map(str, range(clusters)), *map(tag, languages)])


def _read_all_units(folder: Path, languages: Sequence[str]) -> tuple[UnitSource, dict[str, Units]]:
    sources: dict[str, UnitSource] = {}
    units: dict[str, Units] = {}
    for language in languages:
        name = f"{language}.tsv"
        sources[name], found = read_units(folder / name)
        units.update(found)
    return same_source(sources), units
