"""The whole chain for one recording: speech -> features -> units -> translated units -> speech."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP, Samples, decode, resample
from tongyeok.base.files import sha256
from tongyeok.base.units import Units, UnitSource, run_lengths
from tongyeok.engine.translation import UnitTranslator
from tongyeok.errors import CheckpointError, CorpusError, EvaluationError
from tongyeok.evaluation.translate_test import DICTIONARY, TranslateTestConfig, search_units
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import Extractor
from tongyeok.speech2unit.units import decode_units, unit_extractor
from tongyeok.unit2speech.speaker_encoder import SpeakerEncoder, load_speaker_encoder
from tongyeok.unit2speech.synthesis import UnitVocoder
from tongyeok.unit2unit import tags
from tongyeok.unit2unit.tags import Convention


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """A translated recording: the source's units at 50 a second, the translation's without repeats, its samples."""

    source_units: Units
    units: Units
    samples: Samples


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The models of every step, made for each other."""

    codebook: Codebook
    extractor: Extractor
    switch_penalty: float
    translator: UnitTranslator
    convention: Convention
    languages: tuple[str, ...]
    vocoder: UnitVocoder
    encoder: SpeakerEncoder

    @staticmethod
    def load(
        *, kmeans: Path, hubert: Path | None, translator: Path, vocoder: Path, switch_penalty: float, device: str
    ) -> "Chain":
        """Load the outputs of the stages `kmeans`, `hubert`, `translator` and `vocoder`.

        Args:
            kmeans: folder of the last codebook.
            hubert: folder of the checkpoint that it belongs to; None for a codebook of MFCC.
            translator: folder of the translator.
            vocoder: folder of the vocoder.
            switch_penalty: that of section `units`.
            device: `cpu` or `cuda`.

        Raises:
            UnitError: the checkpoint is not the codebook's.
            CheckpointError: a model is missing or broken, or the vocoder speaks units of another codebook.
        """
        codebook = Codebook.load(kmeans / FILE)
        source = UnitSource(codebook=sha256(kmeans / FILE), checkpoint=codebook.checkpoint, clusters=codebook.clusters)
        dictionary = translator / DICTIONARY
        try:
            convention, languages = tags.read_symbols(read_symbols(dictionary), clusters=source.clusters)
        except ValueError as error:
            raise CheckpointError(
                f"{dictionary}: {error}; its units must be those of {kmeans / FILE}: rebuild `translator`"
            ) from None
        speaker = UnitVocoder.load(vocoder, device).folded()
        if speaker.source != source:
            raise CheckpointError(f"{vocoder}: speaks units of {speaker.source}, not of {source}; rebuild `vocoder`")
        return Chain(
            codebook=codebook,
            extractor=unit_extractor(codebook, hubert=hubert),
            switch_penalty=switch_penalty,
            translator=UnitTranslator(translator / "checkpoint.pt", dictionary, device=device),
            convention=convention,
            languages=languages,
            vocoder=speaker,
            encoder=load_speaker_encoder(device=device),
        )

    def units_of(self, samples: Samples) -> Units:
        """Units of a recording, 50 a second, as the stage `units` makes them."""
        (frames,) = self.extractor.extract([samples])
        return decode_units(frames, self.codebook, switch_penalty=self.switch_penalty)

    def translate(self, samples: Samples, *, source: str, target: str, search: TranslateTestConfig) -> Translation:
        """Translate a recording and say it in its speaker's voice.

        Args:
            samples: 16 kHz mono, at least one unit (20 ms) long.
            source: language spoken.
            target: language wanted.
            search: how to search; its directions are not looked at.

        Raises:
            EvaluationError: a language that the translator was not trained on, or nothing was found to say.
        """
        for lang in (source, target):
            if lang not in self.languages:
                raise EvaluationError(
                    f"this translator knows {', '.join(self.languages)}, not {lang!r}; train it with that language"
                )
        source_units = self.units_of(samples)
        distinct, _ = run_lengths(source_units)
        sentence = self.convention.sentence(source, distinct)
        (units,) = search_units(self.translator, [sentence], search, tag=self.convention.tag(target))
        if not units.size:
            raise EvaluationError("the translator found nothing to say; is the recording speech?")
        voice = self.encoder.embed([samples])[0]
        spoken = self.vocoder.synthesise(units, dvector=voice, lang=target, predict_durations=True)
        return Translation(source_units=source_units, units=units, samples=spoken)


def read_recording(path: Path, *, mix: bool) -> Samples:
    """A recording as 16 kHz mono samples, whatever its format and rate.

    Args:
        path: wav, flac, ogg or mp3.
        mix: average the channels instead of refusing more than one.

    Raises:
        CorpusError: no such file, not audio, several channels, not finite, or shorter than one unit.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such file")
    channels, rate = decode(path.read_bytes(), name=str(path))
    if channels.shape[1] != 1 and not mix:
        raise CorpusError(
            f"{path}: expected one channel, got {channels.shape[1]} at {rate} Hz; give `--mix` to average them"
        )
    if not np.isfinite(channels).all():
        raise CorpusError(f"{path}: expected finite samples, got NaN or infinity; record it again")
    samples = resample(np.ascontiguousarray(channels.mean(axis=1, dtype=np.float32)), rate=rate)
    if samples.size < UNIT_HOP:
        raise CorpusError(
            f"{path}: expected at least {UNIT_HOP / SAMPLE_RATE:g} s of audio, got {samples.size / SAMPLE_RATE:g} s"
        )
    return np.asarray(np.clip(samples, -1, 1))


def read_symbols(dictionary: Path) -> list[str]:
    """The symbols of a fairseq dictionary, in order.

    Raises:
        CheckpointError: there is no such file.
    """
    if not dictionary.is_file():
        raise CheckpointError(f"{dictionary}: no such file; run `dvc repro translator`")
    return [line.rpartition(" ")[0] for line in dictionary.read_text(encoding="utf-8").splitlines()]


def last_iteration(folder: Path) -> Path:
    """The folder of the highest iteration below a per-iteration stage's outputs.

    Raises:
        CheckpointError: there is none.
    """
    found = {int(path.name): path for path in folder.glob("*") if path.is_dir() and path.name.isdigit()}
    if not found:
        raise CheckpointError(f"{folder}: expected folders 0, 1, … of a stage run per iteration; run `dvc repro`")
    return found[max(found)]
