"""Stage `corpus`: import a corpus, check every recording, and pack it as 16 kHz mono FLAC with an utterance table."""

import itertools
import multiprocessing
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE, PackWriter, Samples
from tongyeok.base.files import write_json, write_text
from tongyeok.base.stage import Context
from tongyeok.base.utterances import Utterance, write_utterances
from tongyeok.config import section
from tongyeok.corpus.checks import Fault, Limits, check_header, check_table, clean_text, prepare, refuse
from tongyeok.corpus.recording import LeftOut, Phone, Recording
from tongyeok.corpus.sources import SourceConfig, listing
from tongyeok.errors import CorpusError
from tongyeok.runtime import end_with_parent

BATCH = 64  # recordings in flight: bounds memory whatever the corpus's size
PHONES = "phones.tsv"
LEFT_OUT = "left_out.tsv"
MIB = 1 << 20


@section
class CorpusConfig:
    """What is imported, and what is accepted."""

    source: SourceConfig
    languages: tuple[str, ...]  # ISO 639; others in the data are left out
    channels: Literal["mono", "mix"]  # refuse files of several channels, or average them
    min_seconds: float  # shorter recordings are refused
    max_seconds: float  # longer recordings are refused
    pack_mib: int  # a language's next pack begins when this is reached

    def __post_init__(self) -> None:
        """Check the rules."""
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(
                f"languages: expected different codes, at least one, got {list(self.languages)}; correct the list"
            )
        if not 0 <= self.min_seconds < self.max_seconds:
            raise ValueError(
                f"min_seconds: expected 0 to below max_seconds {self.max_seconds}, got {self.min_seconds}; lower it"
            )
        if self.pack_mib < 1:
            raise ValueError(f"pack_mib: expected at least 1, got {self.pack_mib}; usual is 200")

    @property
    def limits(self) -> Limits:
        """The rules that each recording's audio must keep."""
        return Limits(channels=self.channels, min_seconds=self.min_seconds, max_seconds=self.max_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """`data`: folder of the raw corpus."""

    data: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A recording's 16 kHz mono audio, or the fault that makes it unusable."""

    recording: Recording
    samples: Samples | None = None
    phones: tuple[Phone, ...] = ()
    fault: Fault | None = None


def run(cfg: CorpusConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Import, check and pack; nothing appears unless every recording is usable, or left out by a rule of the importer.

    Ids, languages and file headers are checked before any audio is decoded; what only decoding can show is collected
    over the whole corpus and reported at once.

    Raises:
        CorpusError: one message for all recordings that cannot be used.
    """
    listed = listing(cfg.source, data=inputs.data, languages=cfg.languages)
    found = [recording for recording in listed.recordings if recording.lang in cfg.languages]
    faults = check_table(found, languages=cfg.languages)
    faults += filter(None, (probe(recording, cfg.limits) for recording in tqdm(found, desc="check", disable=None)))
    refuse(faults)
    utterances = pack(found, outputs=outputs, limits=cfg.limits, pack_bytes=cfg.pack_mib * MIB, workers=context.threads)
    write_utterances(outputs, utterances)
    metrics = summary(utterances, languages=cfg.languages) | count_left_out(listed.left_out)
    if listed.left_out:
        rows = [f"{row.lang}\t{row.name}\t{row.rule}\t{row.why}\n" for row in listed.left_out]
        write_text(outputs / LEFT_OUT, "".join(["lang\tname\trule\twhy\n", *rows]))
    write_json(outputs / "metrics.json", metrics)
    return metrics


def probe(recording: Recording, limits: Limits) -> Fault | None:
    """Look at a recording's header; None means that nothing is wrong so far."""
    try:
        header = recording.audio.probe()
        if header is not None:
            check_header(header, limits)
    except CorpusError as error:
        return Fault(utt=recording.utt, where=recording.where, reason=str(error))
    return None


def load(recording: Recording, limits: Limits) -> Prepared:
    """Decode, check and resample one recording; a fault is returned, so that others can still be looked at."""
    try:
        samples, phones = prepare(recording.audio.load(), limits)
    except CorpusError as error:
        fault = Fault(utt=recording.utt, where=recording.where, reason=str(error))
        return Prepared(recording=recording, fault=fault)
    return Prepared(recording=recording, samples=samples, phones=phones)


def pack(
    found: Sequence[Recording], *, outputs: Path, limits: Limits, pack_bytes: int, workers: int
) -> list[Utterance]:
    """Load recordings in order and write `<lang>-NNN.zip` packs and `phones.tsv` into `outputs`.

    Raises:
        CorpusError: recordings that cannot be used, after all have been looked at.
    """
    utterances: list[Utterance] = []
    faults: list[Fault] = []
    with ExitStack() as stack:
        packs = _Packs(outputs, pack_bytes=pack_bytes, stack=stack)
        phone_table = None
        for item in tqdm(_loaded(found, limits, workers=workers), total=len(found), desc="pack", disable=None):
            recording = item.recording
            if item.fault is not None:
                faults.append(item.fault)
            if faults or item.samples is None:
                continue
            utterances.append(
                Utterance(
                    utt=recording.utt,
                    group=recording.group,
                    lang=recording.lang,
                    split=recording.split,
                    speaker=recording.speaker,
                    text=clean_text(recording.text),
                    audio=packs.add(recording.lang, recording.utt, item.samples),
                    samples=len(item.samples),
                )
            )
            if item.phones:
                if phone_table is None:
                    phone_table = stack.enter_context((outputs / PHONES).open("w", encoding="utf-8", newline="\n"))
                    phone_table.write("utt\tphones\n")
                phones = " ".join(f"{phone.name}:{phone.end}" for phone in item.phones)
                phone_table.write(f"{recording.utt}\t{phones}\n")
    refuse(faults)
    return utterances


def summary(utterances: Sequence[Utterance], *, languages: Sequence[str]) -> dict[str, float]:
    """Hours and utterances of each language; groups, and how many of them have every language."""
    seconds = Counter[str]()
    members: defaultdict[str, set[str]] = defaultdict(set)
    for utterance in utterances:
        seconds[utterance.lang] += utterance.samples
        members[utterance.group].add(utterance.lang)
    counts = Counter(utterance.lang for utterance in utterances)
    return {
        **{f"hours/{lang}": round(seconds[lang] / SAMPLE_RATE / 3600, 4) for lang in languages},
        **{f"utterances/{lang}": float(counts[lang]) for lang in languages},
        "groups": float(len(members)),
        "complete_groups": float(sum(len(langs) == len(languages) for langs in members.values())),
        "speakers": float(len({utterance.speaker for utterance in utterances})),
    }


def count_left_out(left_out: Sequence[LeftOut]) -> dict[str, float]:
    """How many recordings of each language a rule of the importer left out."""
    counts = Counter(f"left_out/{row.lang}/{row.rule}" for row in left_out)
    return {name: float(count) for name, count in counts.items()}


class _Packs:
    """One open pack for each language; the next begins when one is full."""

    def __init__(self, folder: Path, *, pack_bytes: int, stack: ExitStack) -> None:
        self._folder = folder
        self._pack_bytes = pack_bytes
        self._stack = stack
        self._open: dict[str, PackWriter] = {}
        self._numbers: Counter[str] = Counter()

    def add(self, lang: str, utt: str, samples: Samples) -> str:
        if lang not in self._open:
            path = self._folder / f"{lang}-{self._numbers[lang]:03d}.zip"
            self._open[lang] = self._stack.enter_context(PackWriter(path))
            self._numbers[lang] += 1
        location = self._open[lang].add(utt, samples)
        _, offset, size = location.split(":")
        if int(offset) + int(size) >= self._pack_bytes:
            self._open.pop(lang).__exit__(None, None, None)
        return location


def _loaded(found: Sequence[Recording], limits: Limits, *, workers: int) -> Iterator[Prepared]:
    """Load recordings in their order, by `workers` processes, a bounded number at a time."""
    work = partial(load, limits=limits)
    with _mapper(workers) as mapped:
        remaining = iter(found)
        while batch := list(itertools.islice(remaining, BATCH)):
            yield from mapped(work, batch)


Mapper = Callable[[Callable[[Recording], Prepared], Sequence[Recording]], Iterator[Prepared]]


@contextmanager
def _mapper(workers: int) -> Iterator[Mapper]:
    """An ordered map over recordings, in this process or in several."""
    if workers == 1:
        yield map
        return
    spawn = multiprocessing.get_context("spawn")  # forking a process that runs torch's threads may deadlock
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=end_with_parent) as pool:
        yield partial(pool.map, chunksize=max(1, BATCH // (4 * workers)))
