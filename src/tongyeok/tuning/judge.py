"""The judge of a study: takes the figures of a trial, always in the same way, whatever the trial varies.

Recogniser, sentences and their normalisation come from section `evaluate`, which no study varies.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tongyeok import config
from tongyeok.base.error_rates import cer, wer
from tongyeok.base.files import write_json
from tongyeok.engine.translation import UnitTranslator
from tongyeok.errors import EvaluationError
from tongyeok.evaluation import resynthesis
from tongyeok.evaluation.asr import Whisper
from tongyeok.evaluation.evaluate import EvaluateConfig
from tongyeok.evaluation.published import read_scores
from tongyeok.tuning.held_out import JUDGED
from tongyeok.tuning.trial_flow import TrialFlow
from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder
from tongyeok.unit2unit.tags import tag_of, units_of
from tongyeok.unit2unit.translator import read_pairs, translate_all
from tongyeok.unit2unit.unit_bleu import unit_bleu

FIGURES_FILE = "figures.json"


def take(figure: str, flow: TrialFlow, *, languages: Sequence[str] | None) -> dict[str, float]:
    """A figure of a trial under its name, with what was found beside it.

    Args:
        figure: a key of `FIGURES`.
        flow: of the trial; pieces that the figure needs are made.
        languages: whose resynthesis is heard; None for all that the recogniser understands.

    Raises:
        TongyeokError: what the stages raise.
    """
    if figure.startswith("resynthesis_"):
        return _read(_resynthesis(flow, languages) / FIGURES_FILE)
    if figure == "units_per_second":
        return {figure: _read(flow.unit_health() / "metrics.json")["all/units_per_second"]}
    if figure == "asr_bleu":
        found = {name: row["asr_bleu"] for name, row in read_scores(flow.scores()).items()}
        heard = {f"asr_bleu/{name}": bleu for name, bleu in found.items() if isinstance(bleu, float | int)}
        if not heard:
            raise EvaluationError(
                f"figures: asr_bleu needs a direction into a language that the ASR understands, got "
                f"{', '.join(found)}; change translate_test.directions, or add the language to evaluate.asr"
            )
        return {figure: sum(heard.values()) / len(heard), **heard}
    if figure == "parameters":
        return {figure: _read(flow.translator() / "metrics.json")["parameters"]}
    assert figure in {"unit_bleu", "translation_ms"}, figure
    return _read(_translations(flow) / FIGURES_FILE)


def _resynthesis(flow: TrialFlow, languages: Sequence[str] | None) -> Path:
    """Errors of the recogniser in speech rebuilt from its own units, over all languages together and each."""
    evaluate = config.build(EvaluateConfig, flow.params["evaluate"], where="evaluate")
    folders = resynthesis.Folders(
        corpus=flow.corpus, manifest=flow.manifest(), units=flow.units(), vocoder=flow.vocoder()
    )
    utterances = resynthesis.read_split(
        folders.corpus, folders.manifest, JUDGED, languages=languages, known=evaluate.asr.languages
    )

    def build(outputs: Path, _: Path) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        whisper = Whisper(evaluate.asr, device=device, threads=torch.get_num_threads())
        encoder = load_speaker_encoder(device=device)
        heard = resynthesis.measure(utterances, folders=folders, whisper=whisper, encoder=encoder, device=device).heard
        figures: dict[str, float] = {}
        for lang in (None, *utterances):
            rows = [row for row in heard if lang in {None, row.lang}]
            said, texts = [row.resynthesised for row in rows], [row.text for row in rows]
            end = "" if lang is None else f"/{lang}"
            figures |= {f"resynthesis_wer{end}": wer(said, texts), f"resynthesis_cer{end}": cer(said, texts)}
            figures[f"original_wer{end}"] = wer([row.original for row in rows], texts)
        write_json(outputs / FIGURES_FILE, figures)

    settings = {"evaluate": flow.params["evaluate"], "languages": sorted(utterances)}
    inputs = {name: getattr(folders, name) for name in ("corpus", "manifest", "units", "vocoder")}
    return flow.pieces.once("resynthesis", settings, inputs, build)


def _translations(flow: TrialFlow) -> Path:
    """Unit-BLEU of every pair of the project's valid split, and the milliseconds that a sentence took."""
    bitext, translator = flow.bitext(), flow.translator()
    beam = flow.params["translator"]["beam"]

    def build(outputs: Path, _: Path) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded = UnitTranslator(translator / "checkpoint.pt", translator / "dict.txt", device=device)
        sources, targets = read_pairs(bitext, JUDGED)
        tags = [tag_of(target) for target in targets]
        translate_all(loaded, sources[:1], tags[:1], beam=beam)  # what is prepared once is not a sentence's cost
        started = time.perf_counter()
        hypotheses = translate_all(loaded, sources, tags, beam=beam)
        took = time.perf_counter() - started
        score = unit_bleu(hypotheses, [units_of(target) for target in targets]).score
        write_json(outputs / FIGURES_FILE, {"unit_bleu": score, "translation_ms": 1000 * took / len(sources)})

    return flow.pieces.once("translations", {"beam": beam}, {"bitext": bitext, "translator": translator}, build)


def _read(path: Path) -> dict[str, float]:
    values: Any = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(values, Mapping)
    return dict(values)
