"""Stage `vocoder`: train a generator of speech from units, and a predictor of how long units last.

Two trainings, one after the other: the generator on random segments with the units' true durations, then the duration
predictor on whole de-duplicated sequences with the unit embeddings at rest. The predictor needs many updates and costs
little, so it has its own number of them.

The generator learns from spectral distances alone, or with `adversarial` from HiFi-GAN's discriminators, feature
matching and mel loss.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from tongyeok import config
from tongyeok.base.audio import UNIT_HOP
from tongyeok.base.division import Division, divide
from tongyeok.base.files import write_json, write_text
from tongyeok.base.manifests import Manifest, read_manifest
from tongyeok.base.products import Products, autocast
from tongyeok.base.stage import Context
from tongyeok.base.team import here
from tongyeok.base.units import read_languages
from tongyeok.base.utterances import read_utterances
from tongyeok.errors import ManifestError
from tongyeok.unit2speech.adversarial import AdversarialConfig, Contest
from tongyeok.unit2speech.clips import (
    Batch,
    Clip,
    Material,
    Recordings,
    Segments,
    draw_durations,
    make_clips,
    spread,
)
from tongyeok.unit2speech.durations import duration_loss
from tongyeok.unit2speech.generator import Generator
from tongyeok.unit2speech.listening import duration_errors, mel_error, write_samples
from tongyeok.unit2speech.losses import SpectralLoss
from tongyeok.unit2speech.plots import draw_curves
from tongyeok.unit2speech.speaker_encoder import SpeakerEncoder, load_speaker_encoder
from tongyeok.unit2speech.synthesis import GeneratorConfig, UnitVocoder, build_generator
from tongyeok.unit2speech.training import Decay, Schedule, Task, optimise

NOT_METRICS = {"step", "loss", "opponent_loss"}  # of a curve's columns: what was seen in training


@config.section
class VocoderConfig:
    """Section `vocoder`."""

    generator: GeneratorConfig
    adversarial: AdversarialConfig | None  # HiFi-GAN's training; null: spectral distances alone
    segment_frames: int  # length of a training segment, units of 20 ms; AV2AV: 28
    batch_segments: int  # segments per update
    updates: int  # of the generator
    learning_rate: float  # at the end of the warm-up; then cosine decay to zero, or the decay of `adversarial`
    warmup_updates: int
    weight_decay: float
    clip_norm: float | None  # largest gradient norm; null: gradients are not clipped
    mel_weight: float  # of the log-mel L1 in the loss; HiFi-GAN: 45
    magnitude_weight: float  # of log-magnitude L1 + spectral convergence in the loss; HiFi-GAN has none
    duration_updates: int  # of the duration predictor
    duration_batch: int  # utterances per update
    duration_learning_rate: float
    products: Products  # of matrices in training; bfloat16 is 2-3 times faster where the processor has it
    validate_every: int  # updates
    valid_utterances: int  # resynthesised at each validation, spread over the languages
    sample_utterances: int  # per language, written as audio samples
    save_every: int  # updates between resumable states
    seed: int

    def __post_init__(self) -> None:
        """Check the rules."""
        for name in (
            "segment_frames", "batch_segments", "updates", "duration_updates", "duration_batch", "validate_every",
            "valid_utterances", "sample_utterances", "save_every",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "duration_learning_rate", "clip_norm"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("warmup_updates", "weight_decay", "mel_weight", "magnitude_weight", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.mel_weight + self.magnitude_weight == 0:
            raise ValueError("mel_weight, magnitude_weight: expected one above 0, got 0 and 0")
        _check_adversarial(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Folders of the stages `corpus`, `manifest` and `units`."""

    corpus: Path
    manifest: Path
    units: Path


def run(cfg: VocoderConfig, *, inputs: Inputs, outputs: Path, context: Context) -> dict[str, float]:
    """Train on the train split, validate on the valid split, and write the vocoder with curves, plots and samples.

    The processes of a team (`tongyeok.base.team`) share the segments, and then the utterances, of every update.

    Raises:
        ConfigError: they cannot be shared equally.
        UnitError: units and audio do not belong together.
        ManifestError: a manifest names an utterance that the corpus lacks, or a split is empty.
        TrainingError: no utterance is as long as a segment, or the loss is not finite.
    """
    divisions = share(cfg, here().size)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    language_of = {utterance.utt: utterance.lang for utterance in read_utterances(inputs.corpus)}
    manifests = {split: read_manifest(inputs.manifest, split) for split in ("train", "valid")}
    languages = languages_of(manifests, language_of)
    source, units = read_languages(inputs.units, languages)
    train, valid = (
        make_clips(manifest, units=units, language_of=language_of, languages=languages)
        for manifest in manifests.values()
    )
    encoder = load_speaker_encoder(device=device)
    training = gather(train, Recordings(manifests["train"].root), encoder, products=cfg.products)
    heard = gather(spread(valid, cfg.valid_utterances), Recordings(manifests["valid"].root), encoder)

    generator = build_generator(cfg.generator, clusters=source.clusters, languages=len(languages), seed=cfg.seed)
    vocoder = UnitVocoder(generator=generator.to(device), cfg=cfg.generator, languages=languages, source=source)
    tasks = (
        (speech_task(cfg, generator, training=training, heard=heard), speech_schedule(cfg, clips=len(train))),
        (duration_task(cfg, generator, train=train, valid=valid), duration_schedule(cfg)),
    )
    curves = {}
    for division, (task, schedule) in zip(divisions, tasks, strict=True):
        if here().leads:
            tqdm.write(str(division), file=sys.stderr)
        state = context.scratch / f"{task.name}.pt"
        curves[task.name] = optimise(task, schedule, state=state, on_metrics=context.on_metrics)
    generator.eval()
    if not context.leads():
        return {}

    vocoder.save(outputs)
    write_text(outputs / "curves.csv", as_csv(curves["speech"]))
    write_text(outputs / "duration_curves.csv", as_csv(curves["durations"]))
    draw_curves(outputs / "plots" / "curves.png", curves)
    write_samples(outputs, vocoder, heard, each=cfg.sample_utterances)
    metrics = {name: value for rows in curves.values() for name, value in rows[-1].items() if name not in NOT_METRICS}
    write_json(outputs / "metrics.json", metrics)
    return metrics


def _check_adversarial(cfg: VocoderConfig) -> None:
    if cfg.adversarial is None:
        return
    if cfg.magnitude_weight:
        raise ValueError(
            f"magnitude_weight: expected 0 with `adversarial`, whose losses are HiFi-GAN's, got {cfg.magnitude_weight}"
        )
    mel = cfg.adversarial.mel
    if cfg.segment_frames * UNIT_HOP <= mel.margin:
        raise ValueError(
            f"segment_frames: expected more than {mel.margin // UNIT_HOP} for a mel of {mel.fft_samples} samples, "
            f"got {cfg.segment_frames}"
        )


def share(cfg: VocoderConfig, processes: int) -> tuple[Division, Division]:
    """How so many processes share an update of the generator, and of the duration predictor.

    Raises:
        ConfigError: they cannot share it equally.
    """
    speech = divide(
        "speech",
        processes,
        batches=cfg.batch_segments,
        size=1,
        unit="segments",
        learning_rate=cfg.learning_rate,
        remedy=lambda batch: f"vocoder.batch_segments={batch}",
    )
    durations = divide(
        "durations",
        processes,
        batches=cfg.duration_batch,
        size=1,
        unit="utterances",
        learning_rate=cfg.duration_learning_rate,
        remedy=lambda batch: f"vocoder.duration_batch={batch}",
    )
    return speech, durations


def languages_of(manifests: Mapping[str, Manifest], language_of: Mapping[str, str]) -> tuple[str, ...]:
    """The languages of all splits, sorted.

    Raises:
        ManifestError: a split is empty, or an utterance is not in the corpus.
    """
    for split, manifest in manifests.items():
        if not manifest.utts:
            raise ManifestError(
                f"{split}.tsv: expected at least one utterance, got none; change the shares of `manifest`"
            )
        for utt in manifest.utts:
            if utt not in language_of:
                raise ManifestError(f"{split}.tsv: {utt} is not in the corpus; rebuild `manifest`")
    return tuple(sorted({language_of[utt] for manifest in manifests.values() for utt in manifest.utts}))


def gather(
    clips: Sequence[Clip], recordings: Recordings, encoder: SpeakerEncoder, *, products: Products = "float32"
) -> Material:
    """Clips with the d-vectors of their recordings, listened to with matrix products of that precision."""
    listened = tqdm(clips, desc="d-vectors", unit="clip", disable=None)
    dvectors = encoder.embed((recordings.whole(clip) for clip in listened), products=products)
    return Material(clips=tuple(clips), dvectors=dvectors, recordings=recordings)


def speech_task(cfg: VocoderConfig, generator: Generator, *, training: Material, heard: Material) -> Task:
    """The generator's training on random segments, with or without discriminators."""
    team = here()
    device = next(generator.parameters()).device
    distance = SpectralLoss(mel_weight=cfg.mel_weight, magnitude_weight=cfg.magnitude_weight).to(device)
    segments = Segments(training, frames=cfg.segment_frames)

    def draw(step: int) -> Batch:
        return segments.draw(seed=cfg.seed, step=step, batch=cfg.batch_segments, part=team.part)

    def validate() -> dict[str, float]:
        return {"mel_error": mel_error(generator, distance, heard)}

    if cfg.adversarial is not None:
        contest = Contest(
            cfg.adversarial, mel_weight=cfg.mel_weight, generator=generator, products=cfg.products, seed=cfg.seed
        )
        return contest.task("speech", draw=draw, validate=validate)

    def loss(step: int) -> Float[Tensor, ""]:
        batch = draw(step)
        with autocast(device, cfg.products):
            made = generator(batch.units.to(device), batch.dvector.to(device), batch.language.to(device))
        total: Float[Tensor, ""] = distance(made, batch.samples.to(device)).total
        return total

    return Task(name="speech", module=generator, loss=loss, validate=validate, partly=True)  # durations learn later


def duration_task(cfg: VocoderConfig, generator: Generator, *, train: Sequence[Clip], valid: Sequence[Clip]) -> Task:
    """The duration predictor's training on whole utterances."""
    team = here()
    device = next(generator.parameters()).device

    def loss(step: int) -> Float[Tensor, ""]:
        everyone = draw_durations(train, seed=cfg.seed + 1, step=step, batch=cfg.duration_batch)
        batch = everyone.part(team.part)
        predicted = generator.log_durations(batch.codes.to(device), batch.language.to(device))
        mean = duration_loss(predicted, batch.durations.to(device), batch.real.to(device))
        return mean * (team.size * int(batch.real.sum()) / int(everyone.real.sum()))  # utterances differ in length

    def validate() -> dict[str, float]:
        return duration_errors(generator, valid)

    return Task(name="durations", module=generator.durations, loss=loss, validate=validate)


def speech_schedule(cfg: VocoderConfig, *, clips: int) -> Schedule:
    """How the generator is trained, on `clips` training utterances; a pass is as many segments."""
    decay = None
    if cfg.adversarial is not None:
        decay = Decay(factor=cfg.adversarial.learning_rate_decay, every=max(1, clips // cfg.batch_segments))
    return Schedule(
        updates=cfg.updates,
        learning_rate=cfg.learning_rate,
        warmup_updates=cfg.warmup_updates,
        weight_decay=cfg.weight_decay,
        clip_norm=cfg.clip_norm,
        validate_every=cfg.validate_every,
        save_every=cfg.save_every,
        seed=cfg.seed,
        decay=decay,
    )


def duration_schedule(cfg: VocoderConfig) -> Schedule:
    """How the duration predictor is trained."""
    return dataclasses.replace(
        speech_schedule(cfg, clips=1),
        updates=cfg.duration_updates,
        learning_rate=cfg.duration_learning_rate,
        seed=cfg.seed + 1,
        decay=None,
    )


def as_csv(rows: Sequence[Mapping[str, float]]) -> str:
    """Curve rows as comma-separated values with a header, to six digits."""
    lines = [",".join(rows[0])]
    lines += [",".join(f"{value:.6g}" for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"
