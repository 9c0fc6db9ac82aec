"""What people look at: a report in Markdown and HTML, plots, samples to listen to, and a table of every utterance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from tongyeok.base.audio import encode_flac
from tongyeok.base.error_rates import character_errors, word_errors
from tongyeok.base.files import write_text
from tongyeok.evaluation import pages, plots
from tongyeok.evaluation.asr import Load
from tongyeok.evaluation.metrics import sentence_chrf
from tongyeok.evaluation.reliability import SpeechErrors
from tongyeok.evaluation.scores import DirectionScores, Outcome

KINDS = ("source", "translated", "resynthesised", "reference")
COLUMNS = (
    *("direction", "source", "reference", "source_text", "text", "reference_heard", "resynthesised_heard"),
    *("translated_heard", "chrf", "wer", "cer", "unit_similarity", "speaker_similarity"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clips:
    """The four recordings of each trial of a direction."""

    source: Sequence[Load]
    translated: Sequence[Load]
    resynthesised: Sequence[Load]
    reference: Sequence[Load]


def write(
    folder: Path,
    scores: Mapping[str, DirectionScores],
    outcomes: Mapping[str, Sequence[Outcome]],
    clips: Mapping[str, Clips],
    *,
    errors: Mapping[str, Sequence[SpeechErrors]],
    each: int,
) -> None:
    """Write `utterances.tsv`, `samples/`, `plots/`, `asr_bleu.csv`, `report.md` and `report.html` into `folder`."""
    write_text(folder / "utterances.tsv", table(outcomes))
    shown: dict[str, list[pages.Example]] = {}
    for name, rows in outcomes.items():
        shown[name] = []
        for rank, place in select(rows, each=each):
            audio = write_samples(folder, rows[place], clips[name], place)
            shown[name].append(example(rows[place], rank=rank, audio=audio))
    plots.write(folder, scores)
    write_text(folder / "report.md", pages.markdown(scores, shown, errors))
    write_text(folder / "report.html", pages.html(scores, shown, errors, plots=[folder / plots.BARS]))


def quality(outcome: Outcome) -> float:
    """How good one translation is, 0 to 100: chrF of what was heard, or similarity of units where nobody listened."""
    if outcome.heard is not None:
        return sentence_chrf(outcome.heard.translated, outcome.text)
    return 100 * unit_similarity(outcome)


def unit_similarity(outcome: Outcome) -> float:
    """1 less the edit distance between hypothesis and reference units over the longer's length."""
    units, reference = outcome.units.tolist(), outcome.reference_units.tolist()
    return float(Levenshtein.normalized_similarity(units, reference))


def select(outcomes: Sequence[Outcome], *, each: int) -> list[tuple[str, int]]:
    """(`best`, `median` or `worst`, position) of up to `each` trials of each sort, none twice; ties in trial order."""
    order = sorted(range(len(outcomes)), key=lambda place: -quality(outcomes[place]))
    each = min(each, len(order) // 3)
    middle = (len(order) - each) // 2
    parts = {"best": order[:each], "median": order[middle : middle + each], "worst": order[len(order) - each :]}
    return [(rank, place) for rank, places in parts.items() for place in places]


def example(outcome: Outcome, *, rank: str, audio: Mapping[str, str]) -> pages.Example:
    """What the report says of one trial."""
    pair, heard = outcome.trial.pair, outcome.heard
    return pages.Example(
        rank=rank,
        utt=pair.source.utt,
        quality=quality(outcome),
        speaker_similarity=outcome.speaker_similarity,
        source_text=pair.source.text,
        text=pair.target.text,
        heard=None if heard is None else (heard.translated, heard.resynthesised, heard.reference),
        audio=audio,
    )


def write_samples(folder: Path, outcome: Outcome, clips: Clips, place: int) -> dict[str, str]:
    """Write the four recordings of one trial and return their paths by kind; what could not be said is left out."""
    pair = outcome.trial.pair
    (folder / "samples").mkdir(exist_ok=True)
    written = {}
    for kind in KINDS:
        samples = getattr(clips, kind)[place]()
        if samples.size:
            written[kind] = f"samples/{pair.source.lang}-{pair.target.lang}-{pair.source.utt}-{kind}.flac"
            (folder / written[kind]).write_bytes(encode_flac(samples))
    return written


def table(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """`utterances.tsv`: one row per trial; figures of the recogniser are empty where it does not cover the language."""
    lines = ["\t".join(COLUMNS)]
    for name, rows in outcomes.items():
        for outcome in rows:
            pair, heard = outcome.trial.pair, outcome.heard
            figures = [""] * 6
            if heard is not None:
                wrong_words, words = word_errors(heard.translated, outcome.text)
                wrong_letters, letters = character_errors(heard.translated, outcome.text)
                figures = [heard.reference, heard.resynthesised, heard.translated]
                figures += [f"{quality(outcome):.2f}"]
                figures += [f"{100 * wrong_words / words:.2f}", f"{100 * wrong_letters / letters:.2f}"]
            alike = [f"{unit_similarity(outcome):.4f}", f"{outcome.speaker_similarity:.4f}"]
            text = outcome.text or pair.target.text
            lines.append("\t".join([name, pair.source.utt, pair.target.utt, pair.source.text, text, *figures, *alike]))
    return "\n".join(lines) + "\n"
