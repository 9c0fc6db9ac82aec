"""Every training of a profile, built at its true size and counted, in the order of the flow."""

from collections.abc import Mapping
from typing import Any

from tongyeok import config
from tongyeok.base.audio import UNIT_RATE
from tongyeok.engine.hubert import HubertConfig
from tongyeok.engine.recognizer import RecognizerConfig
from tongyeok.engine.sizes import hubert_step, recognizer_step, translator_step
from tongyeok.engine.translation import Architecture, Optimisation
from tongyeok.errors import ConfigError
from tongyeok.planning.cost import Training
from tongyeok.planning.vocoder import vocoder_step
from tongyeok.speech2unit.kmeans import KmeansConfig
from tongyeok.unit2speech.vocoder import VocoderConfig
from tongyeok.unit2unit.bitext import BitextConfig, dictionary
from tongyeok.unit2unit.translator import TranslatorConfig

SECTIONS = ("kmeans", "hubert", "bitext", "translator", "vocoder", "recognizer")
LETTERS = 100  # assumed: 67 jamo, 26 Latin letters and a few marks; each adds no more than the width to the parameters


def plan(params: Mapping[str, Any], *, sentence_tokens: int) -> list[Training]:
    """The trainings of composed parameters; every batch is taken to be full.

    Args:
        params: sections, as in params.yaml.
        sentence_tokens: length of the translator's sentences on either side.

    Raises:
        ConfigError: a section is missing or breaks a rule.
    """
    if missing := [name for name in SECTIONS if name not in params]:
        raise ConfigError(f"sections missing: {', '.join(missing)}; compose a complete file with `tongyeok params`")
    codebooks = {i: config.build(KmeansConfig, values, where=f"kmeans.{i}") for i, values in params["kmeans"].items()}
    huberts = {i: config.build(HubertConfig, values, where=f"hubert.{i}") for i, values in params["hubert"].items()}
    bitext = config.build(BitextConfig, params["bitext"], where="bitext")
    translator = config.build(TranslatorConfig, params["translator"], where="translator")
    vocoder = config.build(VocoderConfig, params["vocoder"], where="vocoder")
    recognizer = config.build(RecognizerConfig, params["recognizer"], where="recognizer")
    clusters = codebooks[max(codebooks, key=int)].clusters
    symbols = len(dictionary(clusters, bitext.languages, bitext.convention).splitlines())
    phases = {"translator": translator.optimisation}
    if translator.pretraining:
        phases = {"pretraining": translator.pretraining.optimisation, **phases}
    return [
        *(
            _hubert(each, clusters=codebooks[str(each.previous)].clusters, name=f"hubert@{i}")
            for i, each in huberts.items()
        ),
        *(
            _translator(translator.architecture, phase, name=name, symbols=symbols, sentence_tokens=sentence_tokens)
            for name, phase in phases.items()
        ),
        _vocoder(vocoder, clusters=clusters, languages=len(bitext.languages)),
        _recognizer(recognizer, pretrained=huberts[max(huberts, key=int)]),
    ]


def _hubert(cfg: HubertConfig, *, clusters: int, name: str) -> Training:
    step = hubert_step(cfg, clusters=clusters)
    return Training(
        name=name,
        parameters=step.parameters,
        updates=cfg.updates,
        amount=cfg.batches_per_update * cfg.batch_audio_s,
        unit="s of audio",
        products=cfg.products,
        kept_bytes=step.kept_bytes,
        flops=cfg.batches_per_update * step.flops,
    )


def _translator(
    architecture: Architecture, optimisation: Optimisation, *, name: str, symbols: int, sentence_tokens: int
) -> Training:
    sentences = max(1, optimisation.tokens_per_batch // sentence_tokens)
    step = translator_step(
        architecture, symbols=symbols, products=optimisation.products, sentences=sentences, tokens=sentence_tokens
    )
    return Training(
        name=name,
        parameters=step.parameters,
        updates=optimisation.updates,
        amount=float(optimisation.batches_per_update * sentences * sentence_tokens),
        unit="tokens a side",
        products=optimisation.products,
        kept_bytes=step.kept_bytes,
        flops=optimisation.batches_per_update * step.flops,
    )


def _vocoder(cfg: VocoderConfig, *, clusters: int, languages: int) -> Training:
    step = vocoder_step(cfg, clusters=clusters, languages=languages)
    return Training(
        name="vocoder",
        parameters=step.parameters,
        updates=cfg.updates,
        amount=cfg.batch_segments * cfg.segment_frames / UNIT_RATE,
        unit="s of audio",
        products=cfg.products,
        kept_bytes=step.kept_bytes,
        flops=step.flops,
    )


def _recognizer(cfg: RecognizerConfig, *, pretrained: HubertConfig) -> Training:
    step = recognizer_step(cfg, pretrained=pretrained, letters=LETTERS)
    return Training(
        name="recognizer",
        parameters=step.parameters,
        updates=cfg.updates,
        amount=cfg.batches_per_update * cfg.batch_audio_s,
        unit="s of audio",
        products=cfg.products,
        kept_bytes=step.kept_bytes,
        flops=cfg.batches_per_update * step.flops,
    )
