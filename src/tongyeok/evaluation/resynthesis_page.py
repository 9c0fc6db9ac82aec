"""The page to listen to resynthesis: original and resynthesised side by side, as one HTML file beside its samples."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tongyeok.base.audio import encode_flac, read_location
from tongyeok.base.files import write_json, write_text
from tongyeok.base.utterances import Utterance
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.pages import STYLE
from tongyeok.evaluation.resynthesis import Resynthesis
from tongyeok.evaluation.resynthesis_scores import SCORES, Heard, error

PAGE = "index.html"
TABLE = "utterances.tsv"
SAMPLES = "samples"
TITLE = "Speech rebuilt from its own units"
METHOD = (
    "Each utterance is spoken again from its own units, with their true durations and its speaker's d-vector. Original "
    "and resynthesis get the same silence around them, are heard by the same recogniser and are normalised alike. The "
    "recogniser's errors on the original, and the transcripts' own faults, are part of both figures; what the "
    "resynthesis has more is what units and vocoder lose. Intervals are 95 % bootstrap intervals over sentences. "
    "Examples go evenly from best to worst."
)
HEADINGS = (
    "language",
    "n",
    "WER % original",
    "WER % resynthesised",
    "lost",
    "CER % original",
    "CER % resynth.",
    "voice",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One utterance on the page; `said` and `audio` (relative paths) by kind, `error`: WER of the resynthesis in %."""

    utt: str
    text: str
    error: float
    voice: float
    said: Mapping[str, str]
    audio: Mapping[str, str]


def check_replaceable(folder: Path) -> None:
    """Make sure that a page may be written to `folder`.

    Raises:
        EvaluationError: it exists, and holds no page of this module's.
    """
    if folder.exists() and not (folder / SCORES).is_file():
        raise EvaluationError(f"{folder}: expected a folder with {SCORES}, or none, got other files; name another one")


def write_page(
    folder: Path,
    found: Resynthesis,
    scores: Mapping[str, Any],
    utterances: Mapping[str, Sequence[Utterance]],
    *,
    corpus: Path,
    examples: int,
) -> None:
    """Write `resynthesis.json`, `utterances.tsv`, `index.html` and `samples/`; an earlier page is replaced whole.

    Args:
        folder: where to.
        found: what was made and heard.
        scores: as of `resynthesis_scores.public`.
        utterances: the originals, by language.
        corpus: folder of the originals.
        examples: utterances of each language on the page, evenly from the best resynthesised to the worst.

    Raises:
        EvaluationError: `folder` holds something else.
    """
    check_replaceable(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / SAMPLES).mkdir(parents=True)
    shown: dict[str, list[Example]] = {}
    for lang, rows in utterances.items():
        audio = {row.utt: row.audio for row in rows}
        shown[lang] = []
        for row in spread([row for row in found.heard if row.lang == lang], examples):
            said = {"original": row.original, "resynthesised": row.resynthesised}
            paths = {kind: f"{SAMPLES}/{row.utt}-{kind}.flac" for kind in said}
            (partial / paths["original"]).write_bytes(encode_flac(read_location(corpus, audio[row.utt])))
            (partial / paths["resynthesised"]).write_bytes(encode_flac(found.made[row.utt]))
            shown[lang].append(
                Example(
                    utt=row.utt, text=row.text, error=error(row), voice=row.voice_similarity, said=said, audio=paths
                )
            )
    write_json(partial / SCORES, scores)
    lines = [[field.name for field in fields(Heard)], *map(astuple, found.heard)]
    write_text(partial / TABLE, "".join("\t".join(map(str, line)) + "\n" for line in lines))
    write_text(partial / PAGE, html(scores, shown))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def read_heard(folder: Path) -> list[Heard]:
    """What was heard, as it stands in a page's `utterances.tsv`."""
    _, *lines = (folder / TABLE).read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        utt, lang, group, samples, similarity, text, original, resynthesised = line.split("\t")
        found.append(
            Heard(
                utt=utt,
                lang=lang,
                group=group,
                samples=int(samples),
                voice_similarity=float(similarity),
                text=text,
                original=original,
                resynthesised=resynthesised,
            )
        )
    return found


def spread(heard: Sequence[Heard], number: int) -> list[Heard]:
    """Up to `number` utterances, evenly from the lowest to the highest word error of the resynthesis."""
    ordered = sorted(heard, key=lambda row: (error(row), row.utt))
    places = np.unique(np.linspace(0, len(ordered) - 1, min(number, len(ordered))).round().astype(int))
    return [ordered[place] for place in places]


def html(scores: Mapping[str, Any], shown: Mapping[str, Sequence[Example]]) -> str:
    """The page; audio is played from `samples/`.

    Args:
        scores: as in `resynthesis.json`.
        shown: examples of each language.
    """
    parts = [f"<h1>{TITLE}</h1>", f"<p>{escape(METHOD)}</p>", "<table>", _cells("th", HEADINGS)]
    parts += [_cells("td", figures(lang, row)) for lang, row in scores["languages"].items()]
    parts += ["</table>", f"<p><small>split {scores['split']}; recogniser: {escape(scores['asr'])}</small></p>"]
    for lang, examples in shown.items():
        parts.append(f"<section><h2>{escape(lang)}</h2>")
        for example in examples:
            title = f"{example.utt} (WER {example.error:.0f} %, voice {example.voice:.2f})"
            parts += [
                f"<h3>{escape(title)}</h3>",
                f"<p>Said: <b>{escape(example.text)}</b></p>",
                '<table class="said">',
            ]
            for kind, text in example.said.items():
                player = f'<audio controls preload="none" src="{escape(example.audio[kind])}"></audio>'
                heard = escape(text) or "(nothing heard)"
                parts.append(f"<tr><td>{escape(kind)}</td><td>{heard}</td><td>{player}</td></tr>")
            parts.append("</table>")
        parts.append("</section>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def figures(lang: str, row: Mapping[str, Any]) -> list[str]:
    """A language's row of the table, under `HEADINGS`."""

    def spanned(name: str) -> str:
        low, high = row[f"{name}_interval"]
        return f"{row[name]:.1f} ({low:.1f} to {high:.1f})"

    return [
        *(lang, str(row["n"]), spanned("wer_original"), spanned("wer_resynthesised"), spanned("wer_lost")),
        *(f"{row['cer_original']:.1f}", f"{row['cer_resynthesised']:.1f}", f"{row['voice_similarity']:.2f}"),
    ]


def _cells(tag: str, values: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(value)}</{tag}>" for value in values) + "</tr>"
