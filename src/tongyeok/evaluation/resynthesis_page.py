"""The page to listen to resynthesis: original and resynthesised side by side, as one HTML file beside its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tongyeok.evaluation.pages import STYLE

PAGE = "index.html"
TITLE = "Speech rebuilt from its own units"
METHOD = (
    "Each test utterance is spoken again from its own units, with their true durations and its speaker's d-vector. "
    "Original and resynthesis get the same silence around them, are heard by the same recogniser and are "
    "normalised alike. The recogniser's errors on the original, and the transcripts' own faults, are part of both "
    "figures; what the resynthesis has more is what units and vocoder lose. Examples go evenly from best to worst."
)
HEADINGS = ("language", "n", "WER % original", "WER % resynthesised", "CER % original", "CER % resynthesised", "voice")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One utterance on the page; `said` and `audio` (relative paths) by kind, `error`: WER of the resynthesis in %."""

    utt: str
    text: str
    error: float
    voice: float
    said: Mapping[str, str]
    audio: Mapping[str, str]


def html(scores: Mapping[str, Any], shown: Mapping[str, Sequence[Example]]) -> str:
    """The page; audio is played from `samples/`.

    Args:
        scores: as in `resynthesis.json`.
        shown: examples of each language.
    """
    parts = [f"<h1>{TITLE}</h1>", f"<p>{escape(METHOD)}</p>", "<table>", _cells("th", HEADINGS)]
    parts += [_cells("td", figures(lang, row)) for lang, row in scores["languages"].items()]
    parts += ["</table>", f"<p><small>recogniser: {escape(scores['asr'])}</small></p>"]
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
        *(lang, str(row["n"]), spanned("wer_original"), spanned("wer_resynthesised")),
        *(f"{row['cer_original']:.1f}", f"{row['cer_resynthesised']:.1f}", f"{row['voice_similarity']:.2f}"),
    ]


def _cells(tag: str, values: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(value)}</{tag}>" for value in values) + "</tr>"
