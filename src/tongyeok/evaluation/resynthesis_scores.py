"""Error rates of original and resynthesised speech, with paired bootstrap intervals, and `resynthesis.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from tongyeok.base.audio import SAMPLE_RATE
from tongyeok.base.error_rates import cer, wer, word_errors
from tongyeok.evaluation import metrics
from tongyeok.evaluation.metrics import Picks, Score

SCORES = "resynthesis.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """One utterance: its normalised text, and what was heard in the original and in the resynthesis, normalised too."""

    utt: str
    lang: str
    group: str
    samples: int  # of the original
    voice_similarity: float  # cosine of the d-vectors of original and resynthesis
    text: str
    original: str
    resynthesised: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageScores:
    """Errors in percent over `n` utterances of `groups` sentences.

    `wer_lost`: resynthesised less original, from the same resamples. `heard_alike`: percent of utterances in which the
    same was heard letter for letter. `minutes`: of original audio.
    """

    n: int
    groups: int
    minutes: float
    wer_original: Score
    wer_resynthesised: Score
    wer_lost: Score
    cer_original: float
    cer_resynthesised: float
    heard_alike: float
    voice_similarity: float


def score(heard: Sequence[Heard], *, resamples: int, seed: int) -> dict[str, LanguageScores]:
    """Scores by language, with 95 % bootstrap intervals over sentence groups.

    Args:
        heard: of one or more languages; every text has words.
        resamples: of the bootstrap.
        seed: of the bootstrap; the same sentences give the same resamples, so that systems can be compared.
    """
    languages = dict.fromkeys(row.lang for row in heard)
    return {
        lang: _score_language([row for row in heard if row.lang == lang], resamples=resamples, seed=seed)
        for lang in languages
    }


def error(row: Heard) -> float:
    """Word error rate of one resynthesised utterance, in percent."""
    return wer([row.resynthesised], [row.text])


def resampled_wer(
    heard: Sequence[str], texts: Sequence[str], groups: Sequence[str], picks: Picks
) -> Float[np.ndarray, " resamples"]:
    """Word error rate, in percent, of every resample of sentence groups."""
    pairs = zip(heard, texts, strict=True)
    counts = np.array([word_errors(*pair) for pair in pairs], dtype=np.int64)
    sums = metrics.by_cluster(counts, groups)[picks].sum(axis=1)
    return np.asarray(100 * sums[:, 0] / sums[:, 1])


def public(scores: Mapping[str, LanguageScores], *, split: str, asr: str) -> dict[str, object]:
    """The scores as they stand in `resynthesis.json`: rounded to two digits; intervals as [low, high]."""
    languages: dict[str, dict[str, object]] = {}
    for lang, row in scores.items():
        values: dict[str, object] = {}
        for name, value in asdict(row).items():
            if isinstance(value, dict):
                values[name] = round(value["value"], 2)
                values[f"{name}_interval"] = [round(value["low"], 2), round(value["high"], 2)]
            else:
                values[name] = round(value, 2)
        languages[lang] = values
    return {"split": split, "asr": asr, "languages": languages}


def _score_language(heard: Sequence[Heard], *, resamples: int, seed: int) -> LanguageScores:
    texts, original, again, groups = (
        [getattr(row, name) for row in heard] for name in ("text", "original", "resynthesised", "group")
    )
    picks = metrics.pick(len(set(groups)), resamples=resamples, seed=seed)
    first, second = (resampled_wer(said, texts, groups, picks) for said in (original, again))
    wer_original, wer_resynthesised = wer(original, texts), wer(again, texts)
    return LanguageScores(
        n=len(heard),
        groups=len(set(groups)),
        minutes=sum(row.samples for row in heard) / SAMPLE_RATE / 60,
        wer_original=metrics.interval(wer_original, first),
        wer_resynthesised=metrics.interval(wer_resynthesised, second),
        wer_lost=metrics.interval(wer_resynthesised - wer_original, second - first),
        cer_original=cer(original, texts),
        cer_resynthesised=cer(again, texts),
        heard_alike=metrics.exact(again, original),
        voice_similarity=float(np.mean([row.voice_similarity for row in heard])),
    )
