"""Resynthesis alone, where no translation is trained: what a recogniser hears in speech rebuilt from its own units.

Each utterance of a split is spoken again from its units with their true durations, in its own speaker's voice, and
heard by the same recogniser as the original; what the second loses against the first, units and vocoder lose. Choose
settings by this figure on `valid` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tongyeok.base.audio import Samples, read_location
from tongyeok.base.manifests import read_manifest
from tongyeok.base.units import read_languages
from tongyeok.base.utterances import Utterance, read_utterances
from tongyeok.errors import EvaluationError
from tongyeok.evaluation.asr import Whisper
from tongyeok.evaluation.normalise import normalise
from tongyeok.evaluation.resynthesis_scores import Heard
from tongyeok.evaluation.voices import embed, similarity
from tongyeok.unit2speech.speaker_encoder import DVector, SpeakerEncoder
from tongyeok.unit2speech.synthesis import UnitVocoder


@dataclass(frozen=True, kw_only=True, slots=True)
class Folders:
    """Outputs of the stages that resynthesis needs; those of several systems may share `corpus` and `manifest`."""

    corpus: Path
    manifest: Path
    units: Path
    vocoder: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Resynthesis:
    """What was made and heard: a row for each utterance, language by language, and its new speech by utterance."""

    heard: Sequence[Heard]
    made: Mapping[str, Samples]


def read_split(
    corpus: Path, manifest: Path, split: str, *, languages: Sequence[str] | None, known: Sequence[str]
) -> dict[str, list[Utterance]]:
    """A split's utterances by language, in the manifest's order.

    Args:
        corpus: folder of the stage.
        manifest: folder of the stage.
        split: of the manifest.
        languages: which to take; None for every language of the split that is `known`.
        known: languages that the recogniser understands.

    Raises:
        EvaluationError: the manifest names what the corpus lacks, a language is not known or has no utterance in the
            split, or a text has no words.
    """
    where = manifest / f"{split}.utt"
    by_utt = {utterance.utt: utterance for utterance in read_utterances(corpus)}
    utts = read_manifest(manifest, split).utts
    missing = [utt for utt in utts if utt not in by_utt]
    if missing:
        raise EvaluationError(f"{where}: the corpus has no utterance {missing[0]!r}; rebuild `manifest`")
    present = sorted({by_utt[utt].lang for utt in utts})
    wanted = [lang for lang in known if lang in present] if languages is None else languages
    unknown = [lang for lang in wanted if lang not in known]
    if unknown or not wanted:
        raise EvaluationError(
            f"expected languages that the recogniser understands ({', '.join(known)}), got "
            f"{', '.join(unknown or present)}; name another model in evaluate.asr, or leave them out"
        )
    found = {lang: [by_utt[utt] for utt in utts if by_utt[utt].lang == lang] for lang in wanted}
    for lang, utterances in found.items():
        if not utterances:
            raise EvaluationError(f"{where}: expected utterances in {lang}, got none; it has {', '.join(present)}")
        for utterance in utterances:
            if not any(map(str.isalnum, normalise(utterance.text, lang=lang))):
                raise EvaluationError(
                    f"{utterance.utt}: expected a text to compare with what is heard, got {utterance.text!r}; add it "
                    f"to the corpus, or leave {lang} out"
                )
    return found


def measure(
    utterances: Mapping[str, Sequence[Utterance]],
    *,
    folders: Folders,
    whisper: Whisper,
    encoder: SpeakerEncoder,
    device: str,
) -> Resynthesis:
    """Resynthesise utterances with one system, and hear both.

    Args:
        utterances: by language, as of `read_split`.
        folders: of the system.
        whisper: the recogniser; it keeps its transcripts, so that originals are heard once for several systems.
        encoder: gives each utterance's own voice.
        device: of the vocoder, `cpu` or `cuda`.

    Raises:
        CheckpointError: there is no vocoder that can be used.
        EvaluationError: an utterance has no units.
        UnitError: the units are another codebook's than the vocoder's, or it does not speak a language.
    """
    rows = [row for group in utterances.values() for row in group]
    vectors = embed(encoder, [partial(read_location, folders.corpus, row.audio) for row in rows])
    voices = {row.utt: vector for row, vector in zip(rows, vectors, strict=True)}
    vocoder = UnitVocoder.load(folders.vocoder, device).folded()
    made = resynthesise(utterances, voices, units=folders.units, vocoder=vocoder)
    heard = listen(utterances, made, voices, corpus=folders.corpus, whisper=whisper, encoder=encoder)
    return Resynthesis(heard=heard, made=made)


def resynthesise(
    utterances: Mapping[str, Sequence[Utterance]],
    voices: Mapping[str, DVector],
    *,
    units: Path,
    vocoder: UnitVocoder,
) -> dict[str, Samples]:
    """Speech of each utterance from its own units, with their durations, by utterance.

    Args:
        utterances: by language.
        voices: the d-vector to speak each utterance with.
        units: folder of `<lang>.tsv`.
        vocoder: of the same codebook.

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
        for row in tqdm(rows, desc=f"resynthesise {lang}", disable=None):
            found[row.utt] = vocoder.synthesise(
                table[row.utt], dvector=voices[row.utt], lang=lang, predict_durations=False, source=source
            )
    return found


def listen(
    utterances: Mapping[str, Sequence[Utterance]],
    made: Mapping[str, Samples],
    voices: Mapping[str, DVector],
    *,
    corpus: Path,
    whisper: Whisper,
    encoder: SpeakerEncoder,
) -> list[Heard]:
    """What the recogniser hears in every original and its resynthesis, and how alike their voices are."""
    found = []
    for lang, rows in utterances.items():
        original = [partial(read_location, corpus, row.audio) for row in rows]
        again = [partial(made.__getitem__, row.utt) for row in rows]
        alike = similarity(np.stack([voices[row.utt] for row in rows]), embed(encoder, again))
        first = whisper.transcribe(original, lang=lang, description=f"hear {lang} original")
        second = whisper.transcribe(again, lang=lang, description=f"hear {lang} resynthesised")
        for row, before, after, voice in zip(rows, first, second, alike, strict=True):
            found.append(
                Heard(
                    utt=row.utt,
                    lang=lang,
                    group=row.group,
                    samples=row.samples,
                    voice_similarity=float(voice),
                    text=normalise(row.text, lang=lang),
                    original=normalise(before, lang=lang),
                    resynthesised=normalise(after, lang=lang),
                )
            )
    return found
