"""The report's text: the same tables and examples as Markdown and as one HTML file that needs no network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tongyeok.evaluation import reliability, tables
from tongyeok.evaluation.reliability import SpeechErrors
from tongyeok.evaluation.scores import DirectionScores

TITLE = "Translated speech and its ceilings"
METHOD = (
    (
        "Each direction is scored on test sentences that training never saw. A recogniser (ASR) writes down what it "
        "hears, and its transcript is compared with the text of the reference: BLEU (words, in Korean morphemes), "
        "chrF (characters) and chrF++ (both) count shared sequences (0 to 100, higher is better), WER and CER wrong "
        "words and wrong characters (lower is better), “exact” transcripts equal to the reference. Case and "
        "punctuation do not count, in English neither do spelling variants, contractions, and digits for number "
        "words; in other languages digits and number words stay different. Hangul is compared composed."
    ),
    (
        "The recogniser's own errors are part of every figure, so read a translation beside its two ceilings, which "
        "are heard by the same recogniser with the same silence around them: the “reference” recordings lose only "
        "what the recogniser mishears, “resynthesised” speech, made from the references' own units, also what units "
        "and vocoder lose. Intervals are 95 % bootstrap intervals over sentences."
    ),
    (
        "Unit-BLEU compares units, not words, and only systems with the same codebook. Voice is the cosine of the "
        "d-vectors of source and translation: 1 is the same voice."
    ),
)
EXAMPLES = (
    "Examples are the best, the median and the worst translations by {measure}; all are in utterances.tsv. What was "
    "heard is shown as it is compared, without case and punctuation."
)
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; }
th, td { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #8884; }
.caution { border-left: 4px solid #c4513a; padding-left: 0.8rem; font-weight: 600; }
td { font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .said td, .said th { text-align: left; }
.said { width: 100%; } .said td:nth-child(3) { width: 15rem; } audio { width: 15rem; height: 2rem; display: block; }
section { margin-top: 2.5rem; } img { max-width: 100%; background: #fff; }
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One trial in the report; `heard` in translated, resynthesised and reference; `audio`: relative paths by kind."""

    rank: str
    utt: str
    quality: float
    speaker_similarity: float
    source_text: str
    text: str
    heard: tuple[str, str, str] | None
    audio: Mapping[str, str]

    def lines(self) -> list[tuple[str, str]]:
        """(Kind of speech, what was said or heard)."""
        heard = self.heard or ("(not heard)",) * 3
        kinds = ("translated", "resynthesised", "reference")
        said = [("source", self.source_text or "(no text)")]
        return [*said, *((kind, text or "(nothing)") for kind, text in zip(kinds, heard, strict=True))]

    @property
    def title(self) -> str:
        """Rank, utterance and figures."""
        measure = "chrF" if self.heard else "units alike, %"
        return f"{self.rank}: {self.utt} ({measure} {self.quality:.0f}, voice {self.speaker_similarity:.2f})"


def measure(direction: DirectionScores) -> str:
    """What examples of a direction are ranked by."""
    return EXAMPLES.format(measure="chrF" if direction.asr else "likeness of units, as nobody listened")


def markdown(
    scores: Mapping[str, DirectionScores],
    shown: Mapping[str, Sequence[Example]],
    errors: Mapping[str, Sequence[SpeechErrors]],
) -> str:
    """The report as Markdown."""
    lines = [f"# {TITLE}", "", *_table(tables.OVERVIEW, tables.overview(scores)), ""]
    for said in tables.cautions(scores):
        lines += [f"**{_plain(said)}**", ""]
    lines += ["![ASR-BLEU](plots/asr_bleu.png)", ""]
    for paragraph in METHOD:
        lines += [paragraph, ""]
    for name, direction in scores.items():
        lines += [f"## {tables.title(name, direction)}", ""]
        if direction.asr:
            if said := tables.caution(direction.asr):
                lines += [f"**{_plain(said)}**", ""]
            lines += [*_table(tables.headings(direction.asr), tables.rows(direction.asr)), ""]
        lines += [*(f"- {fact}" for fact in tables.facts(direction)), ""]
        if name in errors:
            table = _table(reliability.HEADINGS, reliability.rows(errors[name]))
            lines += [reliability.HOW_TO_READ, "", *table, ""]
        lines += [measure(direction), ""] if shown[name] else []
        for example in shown[name]:
            lines += [f"### {example.title}", "", f"To say: {_plain(example.text)}", ""]
            for kind, text in example.lines():
                link = f"[{kind}]({example.audio[kind]})" if kind in example.audio else f"{kind} (no speech)"
                lines.append(f"- {link}: {_plain(text)}")
            lines.append("")
    return "\n".join(lines)


def html(
    scores: Mapping[str, DirectionScores],
    shown: Mapping[str, Sequence[Example]],
    errors: Mapping[str, Sequence[SpeechErrors]],
    *,
    plots: Sequence[Path],
) -> str:
    """The report as HTML; pictures are inside, audio is played from `samples/`."""
    parts = [f"<h1>{TITLE}</h1>", *_grid(tables.OVERVIEW, tables.overview(scores))]
    parts += [f'<p class="caution">{escape(said)}</p>' for said in tables.cautions(scores)]
    for plot in plots:
        data = base64.b64encode(plot.read_bytes()).decode()
        parts.append(f'<img alt="ASR-BLEU of each direction beside its ceilings" src="data:image/png;base64,{data}">')
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in METHOD]
    for name, direction in scores.items():
        parts.append(f"<section><h2>{escape(tables.title(name, direction))}</h2>")
        if direction.asr:
            if said := tables.caution(direction.asr):
                parts.append(f'<p class="caution">{escape(said)}</p>')
            parts += _grid(tables.headings(direction.asr), tables.rows(direction.asr))
        parts += ["<ul>", *(f"<li>{escape(fact)}</li>" for fact in tables.facts(direction)), "</ul>"]
        if name in errors:
            parts.append(f"<p>{escape(reliability.HOW_TO_READ)}</p>")
            parts += _grid(reliability.HEADINGS, reliability.rows(errors[name]))
        parts += [f"<p>{escape(measure(direction))}</p>"] if shown[name] else []
        for example in shown[name]:
            parts += [f"<h3>{escape(example.title)}</h3>", f"<p>To say: <b>{escape(example.text)}</b></p>"]
            parts += ['<table class="said">', *(_spoken(example, *line) for line in example.lines()), "</table>"]
        parts.append("</section>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _table(heads: Sequence[str], found: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return [_row(heads), _row(rule), *(_row([_plain(value) for value in row]) for row in found)]


def _grid(heads: Sequence[str], found: Sequence[Sequence[str]]) -> list[str]:
    return ["<table>", _cells("th", heads), *(_cells("td", row) for row in found), "</table>"]


def _spoken(example: Example, kind: str, text: str) -> str:
    player = "(no speech)"
    if kind in example.audio:
        player = f'<audio controls preload="none" src="{escape(example.audio[kind])}"></audio>'
    return f"<tr><td>{escape(kind)}</td><td>{escape(text)}</td><td>{player}</td></tr>"


def _cells(tag: str, values: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(value)}</{tag}>" for value in values) + "</tr>"


def _row(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _plain(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text)
