"""Resynthesis alone, where no translation is trained: what a recogniser hears in speech rebuilt from its own units.

Each test utterance is spoken again from its units with their true durations, in its own speaker's voice, and heard by
the same recogniser as the original; what the second loses against the first, units and vocoder lose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int
from rapidfuzz.distance import Levenshtein
from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE, Samples, encode_flac, read_location
from tongyeok.base.files import write_json, write_text
from tongyeok.base.manifests import read_manifest
from tongyeok.base.utterances import Utterance, read_utterances
from tongyeok.errors import EvaluationError
from tongyeok.evaluation import metrics
from tongyeok.evaluation.asr import Whisper
from tongyeok.evaluation.evaluate import EvaluateConfig
from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.resynthesis_page import PAGE, Example, html
from tongyeok.evaluation.translate_test import read_languages
from tongyeok.evaluation.voices import embed, similarity
from tongyeok.unit2speech.speaker_encoder import SpeakerEncoder
from tongyeok.unit2speech.synthesis import UnitVocoder

SCORES = "resynthesis.json"
TABLE = "utterances.tsv"


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """One utterance: its normalised text, and what was heard in the original and in the resynthesis."""

    utt: str
    lang: str
    group: str
    text: str
    original: str
    resynthesised: str
    voice_similarity: float  # cosine of the d-vectors of original and resynthesis


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageScores:
    """Errors in percent over `n` utterances of `groups` sentences; `heard_alike`: heard in both letter for letter."""

    n: int
    groups: int
    minutes: float
    wer_original: Score
    wer_resynthesised: Score
    cer_original: float
    cer_resynthesised: float
    heard_alike: float
    voice_similarity: float


def chosen(corpus: Path, manifest: Path, languages: Sequence[str]) -> dict[str, list[Utterance]]:
    """The manifest's test utterances by language, in its order.

    Raises:
        EvaluationError: the manifest names what the corpus lacks, a language has no test utterance, or a text is empty.
    """
    by_utt = {utterance.utt: utterance for utterance in read_utterances(corpus)}
    held_out = read_manifest(manifest, "test").utts
    missing = [utt for utt in held_out if utt not in by_utt]
    if missing:
        raise EvaluationError(f"{manifest}/test.utt: the corpus has no utterance {missing[0]!r}; rebuild `manifest`")
    found = {lang: [by_utt[utt] for utt in held_out if by_utt[utt].lang == lang] for lang in languages}
    for lang, utterances in found.items():
        if not utterances:
            known = ", ".join(sorted({by_utt[utt].lang for utt in held_out}))
            raise EvaluationError(f"{manifest}/test.utt: expected test utterances in {lang}, got none; it has {known}")
        for utterance in utterances:
            if not normalise(utterance.text, lang=lang):
                raise EvaluationError(
                    f"{utterance.utt}: expected a text to compare with what is heard, got {utterance.text!r}; add it "
                    f"to the corpus, or leave {lang} out with --languages"
                )
    return found


def resynthesise(
    utterances: Mapping[str, Sequence[Utterance]],
    *,
    corpus: Path,
    units: Path,
    vocoder: UnitVocoder,
    encoder: SpeakerEncoder,
) -> dict[str, Samples]:
    """Speech of each utterance from its own units, durations and voice, by utterance.

    Raises:
        EvaluationError: an utterance has no units.
        UnitError: the units are another codebook's than the vocoder's, or it does not speak a language.
    """
    source, table = read_languages(units, sorted(utterances))
    found: dict[str, Samples] = {}
    for lang, rows in utterances.items():
        missing = [row.utt for row in rows if not table.get(row.utt, np.zeros(0)).size]
        if missing:
            raise EvaluationError(f"{units}/{lang}.tsv: expected units of {missing[0]}, got none; rebuild `units`")
        voices = embed(encoder, [partial(read_location, corpus, row.audio) for row in rows])
        pairs = zip(rows, voices, strict=True)
        for row, voice in tqdm(pairs, total=len(rows), desc=f"resynthesise {lang}", disable=None):
            found[row.utt] = vocoder.synthesise(
                table[row.utt], dvector=voice, lang=lang, predict_durations=False, source=source
            )
    return found


def listen(
    utterances: Mapping[str, Sequence[Utterance]],
    made: Mapping[str, Samples],
    *,
    corpus: Path,
    whisper: Whisper,
    encoder: SpeakerEncoder,
) -> list[Heard]:
    """What the recogniser hears in every original and its resynthesis, and how alike the voices are."""
    found = []
    for lang, rows in utterances.items():
        original = [partial(read_location, corpus, row.audio) for row in rows]
        again = [partial(made.__getitem__, row.utt) for row in rows]
        alike = similarity(embed(encoder, original), embed(encoder, again))
        first = whisper.transcribe(original, lang=lang, description=f"hear {lang} original")
        second = whisper.transcribe(again, lang=lang, description=f"hear {lang} resynthesised")
        for row, before, after, voice in zip(rows, first, second, alike, strict=True):
            found.append(
                Heard(
                    utt=row.utt,
                    lang=lang,
                    group=row.group,
                    text=normalise(row.text, lang=lang),
                    original=normalise(before, lang=lang),
                    resynthesised=normalise(after, lang=lang),
                    voice_similarity=float(voice),
                )
            )
    return found


def score(heard: Sequence[Heard], *, seconds: float, resamples: int, seed: int) -> LanguageScores:
    """Error rates of one language, with 95 % bootstrap intervals over sentence groups."""
    texts, first, second = ([getattr(row, name) for row in heard] for name in ("text", "original", "resynthesised"))
    groups = [row.group for row in heard]
    picks = metrics.pick(len(set(groups)), resamples=resamples, seed=seed)

    def wer(said: Sequence[str]) -> Score:
        sums = metrics.by_cluster(_word_counts(said, texts), groups)[picks].sum(axis=1)
        return metrics.interval(metrics.wer(said, texts), 100 * sums[:, 0] / sums[:, 1])

    return LanguageScores(
        n=len(heard),
        groups=len(set(groups)),
        minutes=seconds / 60,
        wer_original=wer(first),
        wer_resynthesised=wer(second),
        cer_original=_cer(first, texts),
        cer_resynthesised=_cer(second, texts),
        heard_alike=metrics.exact(second, first),
        voice_similarity=float(np.mean([row.voice_similarity for row in heard])),
    )


def write(
    folder: Path,
    cfg: EvaluateConfig,
    heard: Sequence[Heard],
    utterances: Mapping[str, Sequence[Utterance]],
    made: Mapping[str, Samples],
    *,
    corpus: Path,
    asr: str,
    examples: int,
) -> dict[str, LanguageScores]:
    """Write `resynthesis.json`, `utterances.tsv`, `index.html` and `samples/`, and return the scores by language.

    Args:
        folder: where to.
        cfg: settings of the bootstrap.
        heard: of `listen`.
        utterances: of `chosen`.
        made: of `resynthesise`.
        corpus: folder of the originals.
        asr: the recogniser's identity.
        examples: utterances of each language on the page, evenly from the best resynthesised to the worst.
    """
    scores: dict[str, LanguageScores] = {}
    shown: dict[str, list[Example]] = {}
    (folder / "samples").mkdir(parents=True)
    for lang, rows in utterances.items():
        own = [row for row in heard if row.lang == lang]
        seconds = sum(row.samples for row in rows) / SAMPLE_RATE
        scores[lang] = score(own, seconds=seconds, resamples=cfg.resamples, seed=cfg.seed)
        audio = {row.utt: row.audio for row in rows}
        shown[lang] = []
        for row in spread(own, examples):
            paths = {kind: f"samples/{row.utt}-{kind}.flac" for kind in ("original", "resynthesised")}
            (folder / paths["original"]).write_bytes(encode_flac(read_location(corpus, audio[row.utt])))
            (folder / paths["resynthesised"]).write_bytes(encode_flac(made[row.utt]))
            said = {"original": row.original, "resynthesised": row.resynthesised}
            shown[lang].append(
                Example(
                    utt=row.utt, text=row.text, error=error(row), voice=row.voice_similarity, said=said, audio=paths
                )
            )
    write_json(folder / SCORES, public(scores, asr=asr))
    names = [field.name for field in fields(Heard)]
    write_text(folder / TABLE, "".join("\t".join(map(str, line)) + "\n" for line in [names, *map(astuple, heard)]))
    write_text(folder / PAGE, html(public(scores, asr=asr), shown))
    return scores


def spread(heard: Sequence[Heard], number: int) -> list[Heard]:
    """Up to `number` utterances, evenly from the lowest to the highest word error of the resynthesis."""
    ordered = sorted(heard, key=lambda row: (error(row), row.utt))
    places = np.unique(np.linspace(0, len(ordered) - 1, min(number, len(ordered))).round().astype(int))
    return [ordered[place] for place in places]


def error(row: Heard) -> float:
    """Word error rate of one resynthesised utterance, in percent."""
    return metrics.wer([row.resynthesised], [row.text])


def public(scores: Mapping[str, LanguageScores], *, asr: str) -> dict[str, object]:
    """The scores as they stand in `resynthesis.json`: percent, rounded to two digits; intervals as [low, high]."""
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
    return {"asr": asr, "languages": languages}


def _word_counts(heard: Sequence[str], texts: Sequence[str]) -> Int[np.ndarray, "rows 2"]:
    return np.array([metrics.word_errors(*pair) for pair in zip(heard, texts, strict=True)], dtype=np.int64)


def _cer(heard: Sequence[str], texts: Sequence[str]) -> float:
    """Character error rate in percent, spaces included."""
    errors = sum(Levenshtein.distance(*pair) for pair in zip(heard, texts, strict=True))
    return 100 * errors / sum(map(len, texts))
