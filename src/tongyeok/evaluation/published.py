"""What is published of the scores: `scores.json` for programs, and flat metrics that runs are compared by."""

import json
from collections.abc import Mapping
from pathlib import Path

from tongyeok.base.files import write_json
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.scores import BLEU_BY, DirectionScores

FILE = "scores.json"
ZERO_SHOT = "zero-shot: the translator was trained on no pair of this direction"
GUESSED = "this ASR does not understand the original speech: the score judges the ASR, not the translation"


def public(scores: DirectionScores) -> dict[str, object]:
    """A direction as it stands in `scores.json`; figures of the recogniser are null where it does not cover it.

    `signature` is that of ASR-BLEU, or of unit-BLEU where there is no ASR-BLEU. `char_bleu` and `bleu_13a` are null in
    languages whose ASR-BLEU needs nothing beside it. `cer_chance` is that of another sentence's text in place of a
    transcript. `asr_understands` is false where the original speech is heard hardly better than that: figures of such a
    direction judge the recogniser. Only a zero-shot direction has the key `zero_shot`, which is true.
    """
    asr = scores.asr
    beside = asr.translated.bleu_by if asr else {}
    return {
        "n": scores.n,
        "asr_bleu": asr and _round(asr.translated.bleu.value),
        "asr_bleu_interval": asr and [_round(asr.translated.bleu.low), _round(asr.translated.bleu.high)],
        "asr_bleu_resynthesised": asr and _round(asr.resynthesised.bleu.value),
        "asr_bleu_reference": asr and _round(asr.reference.bleu.value),
        "chrf": asr and _round(asr.translated.chrf),
        "wer": asr and _round(asr.translated.wer),
        "exact": asr and _round(asr.translated.exact),
        "unit_bleu": _round(scores.unit_bleu),
        "speaker_similarity": round(scores.speaker_similarity, 4),
        "asr": asr and asr.asr,
        "signature": asr.signatures["asr_bleu"] if asr else scores.unit_signature,
        "chrf_plus_plus": asr and _round(asr.translated.chrf_plus_plus),
        "cer": asr and _round(asr.translated.cer),
        "cer_resynthesised": asr and _round(asr.resynthesised.cer),
        "cer_reference": asr and _round(asr.reference.cer),
        "cer_chance": asr and _round(asr.chance_cer),
        "cer_no_spaces": asr and _round(asr.translated.cer_no_spaces),
        **{name: _round(beside[key]) if key in beside else None for key, name in BLEU_BY.items()},
        "asr_understands": asr and asr.understood,
        "signatures": {**(asr.signatures if asr else {}), "unit_bleu": scores.unit_signature},
        **({"zero_shot": True} if scores.zero_shot else {}),
    }


def write_scores(folder: Path, scores: Mapping[str, DirectionScores]) -> None:
    """Write `scores.json`."""
    write_json(folder / FILE, {"directions": {direction: public(row) for direction, row in scores.items()}})


def read_scores(folder: Path) -> dict[str, dict[str, object]]:
    """The directions in `scores.json`, each with the keys of `public`.

    Raises:
        EvaluationError: the file is missing or malformed.
    """
    path = folder / FILE
    try:
        directions: dict[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))["directions"]
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no scores yet; run `dvc repro evaluate`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path}: not a file of scores ({error}); run `dvc repro evaluate`") from None
    return directions


def flat(scores: Mapping[str, DirectionScores]) -> dict[str, float]:
    """The figures that are compared between runs, by `direction/figure`.

    Shares of a ceiling are left out where it is 0, or the recogniser does not understand the language.
    """
    found: dict[str, float] = {}
    for direction, row in scores.items():
        values = {"unit_bleu": row.unit_bleu, "speaker_similarity": row.speaker_similarity}
        if row.asr:
            values |= {
                "asr_bleu": row.asr.translated.bleu.value,
                "asr_bleu_resynthesised": row.asr.resynthesised.bleu.value,
                "asr_bleu_reference": row.asr.reference.bleu.value,
                "chrf": row.asr.translated.chrf,
                "chrf_plus_plus": row.asr.translated.chrf_plus_plus,
                "wer": row.asr.translated.wer,
                "cer": row.asr.translated.cer,
                "cer_reference": row.asr.reference.cer,
                "exact": row.asr.translated.exact,
                **{BLEU_BY[tokenise]: bleu for tokenise, bleu in row.asr.translated.bleu_by.items()},
            }
            if row.asr.of_resynthesised and row.asr.understood:
                values["of_resynthesised"] = row.asr.of_resynthesised.value
            if row.asr.ceiling and row.asr.understood:
                values["ceiling"] = row.asr.ceiling.value
        found |= {f"{direction}/{name}": round(value, 4) for name, value in sorted(values.items())}
    return found


def _round(value: float) -> float:
    return round(value, 2)
