"""What the report says of scores, cell by cell and line by line, whatever it is written in."""

from collections.abc import Mapping

from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.published import GUESSED, ZERO_SHOT
from tongyeok.evaluation.scores import UNDERSTOOD, AsrScores, DirectionScores, TextScores

OVERVIEW = (
    *("direction", "ASR-BLEU ↑", "95 % interval", "of resynthesised", "resynthesised", "reference", "chrF ↑"),
    *("CER % ↓", "unit-BLEU ↑", "voice ↑"),
)
HEADINGS = (
    *("speech", "ASR-BLEU ↑", "95 % interval", "chrF ↑", "chrF++ ↑", "WER % ↓", "CER % ↓", "CER % without spaces ↓"),
    "exact % ↑",
)
BESIDE = {"char": "BLEU of characters ↑", "13a": "BLEU of words (13a) ↑"}
FIGURES = {  # as they are published -> as the report calls them
    "asr_bleu": "ASR-BLEU",
    "char_bleu": "BLEU of characters",
    "bleu_13a": "BLEU of words",
    "chrf": "chrF",
    "chrf_plus_plus": "chrF++",
}


def title(name: str, scores: DirectionScores) -> str:
    """A direction's name, and whether it is zero-shot."""
    return f"{name} (zero-shot)" if scores.zero_shot else name


def overview(scores: Mapping[str, DirectionScores]) -> list[list[str]]:
    """One row for each direction; a star marks scores of a recogniser that does not understand the language."""
    found = []
    for name, direction in scores.items():
        asr, heard = direction.asr, ["–"] * (len(OVERVIEW) - 3)
        if asr:
            bleu = asr.translated.bleu
            share = f"{asr.of_resynthesised.value:.0f} %" if asr.of_resynthesised and asr.understood else "–"
            heard = [f"{bleu.value:.1f}{'' if asr.understood else ' *'}", span(bleu), share]
            heard += [f"{row.bleu.value:.1f}" for row in (asr.resynthesised, asr.reference)]
            heard += [f"{asr.translated.chrf:.1f}", f"{asr.translated.cer:.1f}"]
        found.append(
            [title(name, direction), *heard, f"{direction.unit_bleu:.1f}", f"{direction.speaker_similarity:.2f}"]
        )
    return found


def headings(scores: AsrScores) -> list[str]:
    """Of one direction's table."""
    return [*HEADINGS, *(BESIDE[tokenise] for tokenise in scores.translated.bleu_by)]


def rows(scores: AsrScores) -> list[list[str]]:
    """The table of one direction: translation first, then its ceilings."""
    kinds: dict[str, TextScores] = {
        "translated": scores.translated,
        "resynthesised": scores.resynthesised,
        "reference": scores.reference,
    }
    found = []
    for kind, row in kinds.items():
        figures = (row.chrf, row.chrf_plus_plus, row.wer, row.cer, row.cer_no_spaces, row.exact, *row.bleu_by.values())
        found.append([kind, f"{row.bleu.value:.1f}", span(row.bleu), *(f"{figure:.1f}" for figure in figures)])
    return found


def caution(scores: AsrScores | None) -> str:
    """What must be known before a direction's scores are read; empty where there is nothing."""
    if scores is None or scores.understood:
        return ""
    return (
        f"* Caution: {GUESSED}. Its CER on the reference recordings is {scores.reference.cer:.0f} %; writing down "
        f"another test sentence would have {scores.chance_cer:.0f} %, and above {UNDERSTOOD:g} times that it counts as "
        "guessing. Unit-BLEU does not depend on it."
    )


def cautions(scores: Mapping[str, DirectionScores]) -> list[str]:
    """Each caution once, after the directions that it is for."""
    names: dict[str, list[str]] = {}
    for name, direction in scores.items():
        if said := caution(direction.asr):
            names.setdefault(said, []).append(name)
    return [f"{', '.join(those)} {said}" for said, those in names.items()]


def span(score: Score) -> str:
    """An interval."""
    return f"{score.low:.1f} to {score.high:.1f}"


def percent(score: Score | None) -> str:
    """A share with its interval."""
    if score is None:
        return "not defined, as the ceiling is 0"
    return f"{score.value:.0f} % ({score.low:.0f} to {score.high:.0f} %)"


def facts(scores: DirectionScores) -> list[str]:
    """What stands below a direction's table, line by line."""
    found = [ZERO_SHOT] if scores.zero_shot else []
    found.append(f"{scores.n} test utterances of {scores.groups} unseen sentences")
    if scores.asr is None:
        found.append("no recogniser covers the target language (evaluate.asr.languages): units alone are compared")
    elif scores.asr.understood:
        found += [
            f"ASR-BLEU of the translation in percent of the resynthesis: {percent(scores.asr.of_resynthesised)}",
            f"ASR-BLEU of the resynthesis in percent of the reference: {percent(scores.asr.ceiling)}",
        ]
    found += [
        f"unit-BLEU {scores.unit_bleu:.1f} ({scores.unit_signature})",
        f"speaker similarity {scores.speaker_similarity:.2f}",
    ]
    if scores.asr:
        signatures = [f"{FIGURES[figure]} {signature}" for figure, signature in scores.asr.signatures.items()]
        found += [f"recogniser: {scores.asr.asr}", f"sacrebleu's signatures: {'; '.join(signatures)}"]
    return found
