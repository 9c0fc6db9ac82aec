"""How well units agree with phones, where the corpus knows them: purities and PNMI, as in the HuBERT paper."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from tongyeok.base.audio import UNIT_HOP
from tongyeok.base.units import Units
from tongyeok.errors import CorpusError
from tongyeok.speech2unit.health_usage import entropy

HEADER = "utt\tphones"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Phones of one recording in order, with the 16 kHz sample at which each ends."""

    phones: tuple[str, ...]
    ends: Int[np.ndarray, " phones"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PhoneTable:
    """`counts[p, u]`: frames of phone p that are unit u."""

    phones: tuple[str, ...]
    counts: Int[np.ndarray, "phones clusters"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far units and phones determine each other.

    `phone_purity` is the share of frames that are their unit's most frequent phone, `cluster_purity` the share that are
    their phone's most frequent unit, `pnmi` the share of the phones' entropy that units explain.
    """

    phone_purity: float
    cluster_purity: float
    pnmi: float


def read_alignments(path: Path) -> dict[str, Alignment]:
    """Read `phones.tsv`: a header, then `utt<TAB>phone:end phone:end …`.

    Raises:
        CorpusError: the header or a row is malformed.
    """
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if header != HEADER:
        raise CorpusError(f"{path}:1: expected the header `utt<TAB>phones`, got {header!r}; rebuild `corpus`")
    alignments = {}
    for number, line in enumerate(lines, start=2):
        utt, _, text = line.partition("\t")
        events = [event.rpartition(":") for event in text.split()]
        try:
            ends = np.array([int(end) for _, _, end in events], dtype=np.int64)
        except ValueError:
            raise CorpusError(f"{path}:{number}: {utt}: expected `phone:end_sample …`, got {text[:60]!r}") from None
        if not events or (np.diff(ends) < 0).any():
            raise CorpusError(f"{path}:{number}: {utt}: expected phones with rising ends, got {text[:60]!r}")
        alignments[utt] = Alignment(phones=tuple(phone for phone, _, _ in events), ends=ends)
    return alignments


def phone_table(units: Mapping[str, Units], alignments: Mapping[str, Alignment], *, clusters: int) -> PhoneTable | None:
    """Count the phone at the centre of each frame against its unit, over utterances with an alignment (None without).

    Frames past the last phone count as the last phone.
    """
    known = [utt for utt in units if utt in alignments]
    names = sorted({phone for utt in known for phone in alignments[utt].phones})
    if not names:
        return None
    place = {phone: row for row, phone in enumerate(names)}
    counts = np.zeros(len(names) * clusters, dtype=np.int64)
    for utt in known:
        alignment, sequence = alignments[utt], units[utt]
        centres = UNIT_HOP * np.arange(len(sequence)) + UNIT_HOP // 2
        spoken = np.minimum(np.searchsorted(alignment.ends, centres, side="right"), len(alignment.phones) - 1)
        rows = np.array([place[phone] for phone in alignment.phones])[spoken]
        counts += np.bincount(rows * clusters + sequence, minlength=counts.size)
    return PhoneTable(phones=tuple(names), counts=counts.reshape(len(names), clusters))


def agreement(table: PhoneTable) -> Agreement:
    """Purities and phone-normalised mutual information of a table with at least one frame."""
    counts = table.counts
    total = counts.sum()
    phones = entropy(counts.sum(axis=1))
    mutual = phones + entropy(counts.sum(axis=0)) - entropy(counts)
    return Agreement(
        phone_purity=float(counts.max(axis=0).sum() / total),
        cluster_purity=float(counts.max(axis=1).sum() / total),
        pnmi=mutual / phones if phones else 1.0,
    )
