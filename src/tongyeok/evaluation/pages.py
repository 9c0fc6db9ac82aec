"""The report's text: the same tables and examples as Markdown and as one HTML file that needs no network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.scores import AsrScores, DirectionScores, TextScores

HEADINGS = ("speech", "ASR-BLEU", "95 % interval", "chrF", "WER %", "exact %")
METHOD = (
    "Reference recordings, speech resynthesised from the references' own units, and translations get the same silence "
    "around them, are heard by the same recogniser, and are normalised alike. Its errors are part of every figure, so "
    "read a translation beside its ceilings: “reference” loses only what the recogniser mishears, “resynthesised” also "
    "what units and vocoder lose. Intervals are 95 % bootstrap intervals over sentence groups. Unit-BLEU compares only "
    "systems with the same codebook. Speaker similarity is the cosine of the d-vectors of source and translation."
)
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; }
th, td { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #8884; }
td { font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .said td, .said th { text-align: left; }
.said { width: 100%; } .said td:nth-child(3) { width: 15rem; } audio { width: 15rem; height: 2rem; display: block; }
section { margin-top: 2.5rem; } small { opacity: 0.7; } img { max-width: 100%; background: #fff; }
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


def rows(scores: AsrScores) -> list[list[str]]:
    """The table of one direction: translation first, then its ceilings."""
    kinds: dict[str, TextScores] = {
        "translated": scores.translated,
        "resynthesised": scores.resynthesised,
        "reference": scores.reference,
    }
    return [
        [kind, f"{row.bleu.value:.1f}", span(row.bleu), f"{row.chrf:.1f}", f"{row.wer:.1f}", f"{row.exact:.1f}"]
        for kind, row in kinds.items()
    ]


def span(score: Score) -> str:
    """An interval."""
    return f"{score.low:.1f} to {score.high:.1f}"


def percent(score: Score | None) -> str:
    """A share with its interval."""
    return "not defined (0)" if score is None else f"{score.value:.0f} % ({score.low:.0f} to {score.high:.0f} %)"


def facts(scores: DirectionScores) -> list[str]:
    """What stands below a direction's table, line by line."""
    found = [f"{scores.n} test utterances of {scores.groups} unseen sentences"]
    if scores.asr:
        found += [
            f"ASR-BLEU of the translation in percent of the resynthesis: {percent(scores.asr.of_resynthesised)}",
            f"ASR-BLEU of the resynthesis in percent of the reference: {percent(scores.asr.ceiling)}",
        ]
    else:
        found.append("no recogniser covers the target language (evaluate.asr.languages): units alone are compared")
    found += [
        f"unit-BLEU {scores.unit_bleu:.1f} ({scores.unit_signature})",
        f"speaker similarity {scores.speaker_similarity:.2f}",
    ]
    if scores.asr:
        found += [f"recogniser: {scores.asr.asr}", f"sacrebleu: {scores.asr.signature}"]
    return found


def markdown(scores: Mapping[str, DirectionScores], shown: Mapping[str, Sequence[Example]]) -> str:
    """The report as Markdown."""
    lines = ["# Translated speech and its ceilings", "", METHOD, "", "![ASR-BLEU](plots/asr_bleu.png)", ""]
    for name, direction in scores.items():
        lines += [f"## {name}", ""]
        if direction.asr:
            lines += [_row(HEADINGS), _row(["---", *["---:"] * (len(HEADINGS) - 1)])]
            lines += [_row(row) for row in rows(direction.asr)]
            lines.append("")
        lines += [*(f"- {fact}" for fact in facts(direction)), ""]
        for example in shown[name]:
            lines += [f"### {example.title}", "", f"To say: {_plain(example.text)}", ""]
            for kind, text in example.lines():
                link = f"[{kind}]({example.audio[kind]})" if kind in example.audio else f"{kind} (no speech)"
                lines.append(f"- {link}: {_plain(text)}")
            lines.append("")
    return "\n".join(lines)


def html(
    scores: Mapping[str, DirectionScores], shown: Mapping[str, Sequence[Example]], *, plots: Sequence[Path]
) -> str:
    """The report as HTML; pictures are inside, audio is played from `samples/`."""
    parts = ["<h1>Translated speech and its ceilings</h1>", f"<p>{escape(METHOD)}</p>"]
    for plot in plots:
        data = base64.b64encode(plot.read_bytes()).decode()
        parts.append(f'<img alt="ASR-BLEU of each direction beside its ceilings" src="data:image/png;base64,{data}">')
    for name, direction in scores.items():
        parts.append(f"<section><h2>{escape(name)}</h2>")
        if direction.asr:
            parts += [
                "<table>",
                _cells("th", HEADINGS),
                *(_cells("td", row) for row in rows(direction.asr)),
                "</table>",
            ]
        parts += ["<ul>", *(f"<li>{escape(fact)}</li>" for fact in facts(direction)), "</ul>"]
        for example in shown[name]:
            parts += [f"<h3>{escape(example.title)}</h3>", f"<p>To say: <b>{escape(example.text)}</b></p>"]
            parts += ['<table class="said">', *(_spoken(example, *line) for line in example.lines()), "</table>"]
        parts.append("</section>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Translated speech and its ceilings</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


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
