"""Stage `bitext`: pairs of de-duplicated unit sentences in every direction, as text and binarised for fairseq."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tongyeok.base.files import write_json, write_text
from tongyeok.base.manifests import SPLITS, read_manifest
from tongyeok.base.stage import Context
from tongyeok.base.units import Units, read_languages, run_lengths
from tongyeok.base.utterances import TABLE, Utterance, read_utterances
from tongyeok.config import section
from tongyeok.engine import translation
from tongyeok.errors import ManifestError, UnitError
from tongyeok.unit2unit import pairs
from tongyeok.unit2unit.tags import CONVENTIONS, Convention, Name


@section
class BitextConfig:
    """Section `bitext`."""

    languages: tuple[str, ...]  # ISO 639; their order is the order of the tags in dict.txt
    directions: Literal["all"] | tuple[str, ...]  # `all` ordered pairs of languages, or a list like [ko-en, es-en]
    train_directions: Literal["all"] | tuple[str, ...]  # `all` of them, or some: the others are evaluated zero-shot
    tags: Name  # `<ko> 12 5` (prefix) or `<s> 12 5 </s> [ko]` (utut, UTUT's); the target's is forced at decoding
    max_tokens: int  # longest sentence with its tag and end mark, in tokens; the translator's positions end there
    train_repeats: dict[str, int]  # how often a training pair into a language stands in a pass; once where not named
    pairs_per_group: int  # training pairs of a group per direction, where several speakers say it

    def __post_init__(self) -> None:
        """Check the rules."""
        if len(self.languages) < 2 or len(set(self.languages)) != len(self.languages):  # noqa: PLR2004  a pair
            raise ValueError(f"languages: expected at least two different ones, got {list(self.languages)}; add one")
        wanted = pairs.directions(self.directions, self.languages)
        strangers = [each for each in self.trained_directions if each not in wanted]
        if strangers:
            raise ValueError(
                f"train_directions: expected `all` or some of the directions {', '.join(map(str, wanted))}, got "
                f"{strangers[0]}; remove it, or add it to directions"
            )
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

    @property
    def trained_directions(self) -> tuple[pairs.Direction, ...]:
        """The directions whose pairs are trained on, in order."""
        wanted = self.directions if self.train_directions == "all" else self.train_directions
        return pairs.directions(wanted, self.languages, field="train_directions")

    @property
    def convention(self) -> Convention:
        """How sentences carry their language."""
        return CONVENTIONS[self.tags]


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
    source, units = read_languages(inputs.units, cfg.languages)
    check_complete(splits, units)

    write_text(outputs / "dict.txt", dictionary(source.clusters, cfg.languages, cfg.convention))
    metrics: dict[str, float] = {}
    for split, utterances in splits.items():
        joined = join_split(utterances, cfg, split=split)
        lines = [
            (sentence(pair.source, units, cfg.convention), sentence(pair.target, units, cfg.convention))
            for pair in joined
        ]
        check_lengths(joined, lines, cfg)
        write_text(outputs / f"{split}.src", "".join(f"{line}\n" for line, _ in lines))
        write_text(outputs / f"{split}.tgt", "".join(f"{line}\n" for _, line in lines))
        write_text(outputs / f"{split}.ids", "".join(f"{pair.source.utt}\t{pair.target.utt}\n" for pair in joined))
        metrics[f"{split}_pairs"] = float(len(joined))
        metrics[f"{split}_tokens_mean"] = sum(cfg.convention.tokens(line) for _, line in lines) / len(lines)
    translation.binarise(
        outputs,
        dictionary=outputs / "dict.txt",
        bin_folder=outputs / "bin",
        workers=context.threads,
        whole=cfg.convention.whole,
    )
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

    Directions that are not trained have pairs in valid and test only.

    Raises:
        ManifestError: a direction has no pair.
    """
    joined = []
    wanted = cfg.trained_directions if split == "train" else pairs.directions(cfg.directions, cfg.languages)
    for direction in wanted:
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


def sentence(utterance: Utterance, units: Mapping[str, Units], convention: Convention) -> str:
    """One side of a pair: the units without adjacent repeats, and the language."""
    distinct, _ = run_lengths(units[utterance.utt])
    return convention.sentence(utterance.lang, distinct)


def check_lengths(joined: Sequence[pairs.Pair], lines: Sequence[tuple[str, str]], cfg: BitextConfig) -> None:
    """Make sure that no sentence is longer than `max_tokens`, its tag and marks included.

    Raises:
        UnitError: one is.
    """
    for pair, sides in zip(joined, lines, strict=True):
        for utterance, line in zip((pair.source, pair.target), sides, strict=True):
            tokens = cfg.convention.tokens(line)
            if tokens > cfg.max_tokens:
                raise UnitError(
                    f"{utterance.utt}: expected at most {cfg.max_tokens} tokens (bitext.max_tokens), got {tokens}; "
                    "raise it, or leave long recordings out in `manifest`"
                )


def dictionary(clusters: int, languages: Sequence[str], convention: Convention) -> str:
    """`dict.txt` as fairseq's `--srcdict` reads it: unit ids in order, then the tags; each counts 1, unused."""
    return "".join(f"{symbol} 1\n" for symbol in convention.symbols(clusters, languages))
