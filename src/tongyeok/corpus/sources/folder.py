"""Importer `folder`: audio files that already lie in folders, under one of two conventions.

`folders`: `<lang>/<id>.wav`, one folder per language; the same id in two languages means the same group. An optional
table `<lang>.tsv` beside the folder has a header with `id` and any of `group`, `text`, `speaker`, `split`.

`names`: files anywhere below the data folder named `<name>_<lang>_<number>.wav`; the same name and number in two
languages mean the same group.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import soundfile

from tongyeok.base.audio import decode
from tongyeok.config import section
from tongyeok.corpus.recording import Clip, Header, Recording
from tongyeok.errors import CorpusError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
NAME = re.compile(r"(.+)_([a-z]{2})_(\d+)")
TABLE_COLUMNS = ("id", "group", "text", "speaker", "split")


@section
class FolderConfig:
    """How the files are laid out."""

    importer: Literal["folder"]
    layout: Literal["folders", "names"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFile:
    """One audio file."""

    path: Path

    def probe(self) -> Header | None:
        """Read the file's header.

        Raises:
            CorpusError: the file is empty or not audio.
        """
        size = self.path.stat().st_size
        if size == 0:
            raise CorpusError("expected an audio file, got an empty file (0 bytes); replace or remove it")
        try:
            info = soundfile.info(str(self.path))
        except soundfile.LibsndfileError as error:
            raise CorpusError(
                f"expected an audio file (wav, flac, ogg, mp3), got {size} bytes that are not audio "
                f"({error.error_string}); replace or remove it"
            ) from None
        return Header(channels=int(info.channels), rate=int(info.samplerate), samples=int(info.frames))

    def load(self) -> Clip:
        """Decode the whole file."""
        samples, rate = decode(self.path.read_bytes(), name=self.path.name)
        return Clip(samples=samples, rate=rate)


def recordings(cfg: FolderConfig, *, data: Path, languages: Sequence[str]) -> list[Recording]:
    """List the recordings of `languages`, sorted by name within each language.

    Raises:
        CorpusError: a table is malformed, or it and the folder disagree.
    """
    if cfg.layout == "names":
        return _by_names(data, languages)
    return [recording for lang in languages for recording in _by_folder(data, lang)]


def _by_names(data: Path, languages: Sequence[str]) -> list[Recording]:
    found = []
    for path in _audio_files(data, recursive=True):
        match = NAME.fullmatch(path.stem)
        if match is None:
            raise CorpusError(
                f"{path}: expected a name like `greeting_ko_0001{path.suffix}`, got {path.name!r}; rename the file, "
                "or set corpus.source.layout to `folders`"
            )
        name, lang, number = match.groups()
        if lang in languages:
            group = f"{name}_{number}"
            found.append(_recording(path, utt=path.stem, group=group, lang=lang, row={}))
    return found


def _by_folder(data: Path, lang: str) -> list[Recording]:
    rows = _read_table(data / f"{lang}.tsv")
    found, named = [], set()
    for path in _audio_files(data / lang, recursive=False):
        if rows is not None and path.stem not in rows:
            raise CorpusError(
                f"{path}: expected a row for {path.stem!r} in {lang}.tsv, got none; add it or remove the file"
            )
        row = {} if rows is None else rows[path.stem]
        named.add(path.stem)
        found.append(
            _recording(path, utt=f"{path.stem}_{lang}", group=row.get("group") or path.stem, lang=lang, row=row)
        )
    lost = [name for name in rows or {} if name not in named]
    if lost:
        raise CorpusError(
            f"{data / lang}.tsv: expected an audio file {lang}/{lost[0]} ({', '.join(AUDIO_SUFFIXES)}), got none "
            f"({len(lost)} such rows); add the files or remove the rows"
        )
    return found


def _recording(path: Path, *, utt: str, group: str, lang: str, row: Mapping[str, str]) -> Recording:
    return Recording(
        utt=utt,
        group=group,
        lang=lang,
        split=row.get("split", ""),
        speaker=row.get("speaker", ""),
        text=row.get("text", ""),
        where=str(path),
        audio=AudioFile(path=path),
    )


def _audio_files(folder: Path, *, recursive: bool) -> list[Path]:
    found = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(path for path in found if path.suffix.lower() in AUDIO_SUFFIXES)


def _read_table(path: Path) -> dict[str, dict[str, str]] | None:
    """Rows by id, or None where there is no table."""
    if not path.is_file():
        return None
    header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    columns = header.split("\t")
    if "id" not in columns or not set(columns) <= set(TABLE_COLUMNS):
        raise CorpusError(
            f"{path}:1: expected a header with `id` and any of {', '.join(TABLE_COLUMNS[1:])}, got {header!r}; "
            "correct it"
        )
    rows: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines, start=2):
        values = line.split("\t")
        if len(values) != len(columns):
            raise CorpusError(f"{path}:{number}: expected {len(columns)} columns, got {len(values)}; correct the line")
        row = dict(zip(columns, values, strict=True))
        if row["id"] in rows:
            raise CorpusError(f"{path}:{number}: id {row['id']!r} stands twice; rename or remove one")
        rows[row["id"]] = row
    return rows
