"""The default corpus in `data/`: what is held out is new, and nothing in it is unknown."""

import hashlib
import importlib.util
import itertools
import json
import unicodedata
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "data" / "sentences.tsv"


@pytest.fixture(scope="module")
def composer() -> ModuleType:
    """The script that composes the table."""
    spec = importlib.util.spec_from_file_location("compose_sentences", ROOT / "tools" / "compose_sentences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    header, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_the_table_is_what_the_script_composes(composer: ModuleType, rows: list[dict[str, str]]) -> None:
    """`tools/compose_sentences.py` writes the committed table, to the letter."""
    composed = [(group, split, *texts) for group, split, texts in composer.corpus()]
    assert composed == [tuple(row.values()) for row in rows]


def test_splits_have_the_promised_sizes(rows: list[dict[str, str]]) -> None:
    """64 groups test, 40 validate, the rest train, and no group stands twice."""
    assert Counter(row["split"] for row in rows) == {"train": len(rows) - 104, "valid": 40, "test": 64}
    assert len({row["group"] for row in rows}) == len(rows) > 1_000


@pytest.mark.parametrize("lang", ["ko", "en", "es", "fr"])
def test_held_out_sentences_are_new_and_their_words_are_not(rows: list[dict[str, str]], lang: str) -> None:
    """No sentence stands twice in a language, and every word of a held-out sentence trains at least five times."""
    sentences = [row[lang] for row in rows]
    assert len(set(sentences)) == len(sentences)
    known = Counter(word for row in rows if row["split"] == "train" for word in row[lang].split())
    rare = {word for row in rows if row["split"] != "train" for word in row[lang].split() if known[word] < 5}
    assert not rare


def test_sentences_are_plain(rows: list[dict[str, str]]) -> None:
    """Sentences are in NFC, begin without space, end with one full stop, and have no digits."""
    for text in (row[lang] for row in rows for lang in ("ko", "en", "es", "fr")):
        assert unicodedata.is_normalized("NFC", text)
        assert text == " ".join(text.split())
        assert text.endswith(".")
        assert not any(character.isdigit() for character in text)


def test_english_sentences_are_short(rows: list[dict[str, str]]) -> None:
    """An English sentence has 6 to 12 words."""
    assert {len(row["en"].split()) for row in rows} <= set(range(6, 13))


def parts(chosen: list[tuple[int, ...]], size: int) -> set[object]:
    """Every choice of `size` slots with their fillers, over all sentences."""
    return {part for fillers in chosen for part in itertools.combinations(enumerate(fillers), size)}


@pytest.fixture(scope="module")
def composed(composer: ModuleType) -> list[tuple[Any, dict[str, list[tuple[int, ...]]]]]:
    """Each frame with the fillers of its sentences in each split."""
    sizes = {"valid": composer.VALID, "test": composer.TEST, "seed": composer.SEED}
    return [(frame, composer.compose(frame, **sizes)) for frame in composer.FRAMES]


def test_held_out_pairs_are_known_and_triples_new(composed: list[tuple[Any, dict[str, list[tuple[int, ...]]]]]) -> None:
    """Of a held-out sentence's fillers, any two met in training in the same frame, and no three did."""
    for frame, splits in composed:
        held_out = splits["valid"] + splits["test"]
        assert len(set(held_out)) == len(held_out), frame.name
        assert parts(held_out, 2) <= parts(splits["train"], 2), frame.name
        assert not parts(held_out, 3) & parts(splits["train"], 3), frame.name


def test_fillers_are_frequent(
    composer: ModuleType, composed: list[tuple[Any, dict[str, list[tuple[int, ...]]]]]
) -> None:
    """Every filler of the lexicon trains at least 25 times."""
    counts: Counter[str] = Counter()
    for frame, splits in composed:
        counts.update(
            composer.LEXICON[slot][filler].en
            for fillers in splits["train"]
            for slot, filler in zip(frame.slots, fillers, strict=True)
        )
    assert {word.en for words in composer.LEXICON.values() for word in words} == set(counts)
    assert min(counts.values()) >= 25, counts.most_common()[-5:]


@pytest.mark.parametrize(
    ("word", "pair", "expected"),
    [
        ("우산", "을/를", "우산을"),
        ("기타", "을/를", "기타를"),
        ("친구", "은/는", "친구는"),
        ("책", "이/가", "책이"),
        ("빵", "과/와", "빵과"),
    ],
)
def test_particles_fit_the_last_syllable(composer: ModuleType, word: str, pair: str, expected: str) -> None:
    """A Korean particle's form follows from the noun's last syllable."""
    assert composer.particle(word, pair) == expected


def test_data_dvc_describes_data() -> None:
    """`data.dvc` holds the digest of `data/` as it stands, so `dvc repro` on a fresh clone finds no change."""
    (out,) = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"]
    files = sorted(path for path in (ROOT / "data").rglob("*") if path.is_file())
    listing = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.relative_to(ROOT / "data").as_posix()}
        for path in files
    ]
    digest = hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest()
    assert out["md5"] == f"{digest}.dir", "run `dvc commit -f data.dvc` after changing data/"
    assert out["nfiles"] == len(files)
    assert out["cache"] is False
