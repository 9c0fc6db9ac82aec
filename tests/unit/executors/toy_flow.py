"""Folders for the three sharded stages, with models of random weights, and a way to run them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tongyeok.base.executor import Executor
from tongyeok.base.files import sha256
from tongyeok.base.manifests import read_manifest
from tongyeok.base.stage import Context, silent
from tongyeok.engine.translation import Architecture
from tongyeok.evaluation import translate_test
from tongyeok.speech2unit import labels, units
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import HubertExtractor, stream
from unit.evaluation import world
from unit.speech2unit import toy_speech
from unit.speech2unit.small_hubert import CONVOLUTIONS, write_checkpoint
from unit.unit2unit import toy_training

STAGES = ("labels", "units", "translate_test")
CLUSTERS = 12


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What the stages read."""

    folder: Path

    def run(self, stage: str, executor: Executor, outputs: Path) -> dict[str, bytes]:
        """Run a stage with its scratch beside `outputs`, and return its files."""
        scratch = outputs.with_name(f"{outputs.name}-scratch")
        for path in (outputs, scratch):
            path.mkdir(parents=True, exist_ok=True)
        context = replace(silent(scratch), executor=executor)
        getattr(self, f"_{stage}")(outputs, context)
        assert not list(scratch.iterdir()), "shards are removed when their content stands in whole outputs"
        return {str(path.relative_to(outputs)): path.read_bytes() for path in outputs.rglob("*") if path.is_file()}

    def _labels(self, outputs: Path, context: Context) -> None:
        inputs = labels.Inputs(manifest=self.folder / "speech/manifest", kmeans=self.folder / "kmeans/0")
        labels.run(labels.LabelsConfig(switch_penalty=0.0), inputs=inputs, outputs=outputs, context=context)

    def _units(self, outputs: Path, context: Context) -> None:
        inputs = units.Inputs(
            corpus=self.folder / "speech/corpus",
            manifest=self.folder / "speech/manifest",
            kmeans=self.folder / "kmeans/1",
            hubert=self.folder / "hubert",
        )
        units.run(units.UnitsConfig(switch_penalty=0.5), inputs=inputs, outputs=outputs, context=context)

    def _translate_test(self, outputs: Path, context: Context) -> None:
        inputs = translate_test.Inputs(
            **{name: self.folder / "world" / name for name in translate_test.Inputs.__dataclass_fields__}
        )
        cfg = translate_test.TranslateTestConfig(
            directions="all", beam=2, length_penalty=1.0, longest_per_token=1.0, longest_extra=5, batch_tokens=100
        )
        translate_test.run(cfg, inputs=inputs, outputs=outputs, context=context)


def build(folder: Path) -> Flow:
    """Write corpora, codebooks and models."""
    speech = toy_speech.build(folder / "speech")
    (folder / "hubert").mkdir()
    checkpoint = write_checkpoint(folder / "hubert" / "checkpoint.pt", convolutions=CONVOLUTIONS["demo"])
    read = stream(read_manifest(speech.manifest, "valid"), HubertExtractor(checkpoint, layer=2), description="")
    frames = np.concatenate([rows for _, rows in read])
    own = np.ascontiguousarray(frames[:: len(frames) // CLUSTERS][:CLUSTERS], dtype=np.float32)
    _save(folder / "kmeans/1", Codebook(centroids=own, feature="hubert", layer=2, checkpoint=sha256(checkpoint)))
    drawn = 10 * np.random.default_rng(0).standard_normal((CLUSTERS, 39)).astype(np.float32)
    _save(folder / "kmeans/0", Codebook(centroids=drawn, feature="mfcc", layer=None, checkpoint=""))
    world.build(folder / "world")
    _write_translator(folder / "world" / "translator")
    return Flow(folder=folder)


def _save(folder: Path, codebook: Codebook) -> None:
    folder.mkdir(parents=True)
    codebook.save(folder / FILE)


def _write_translator(folder: Path) -> None:
    from fairseq.data import Dictionary

    from tongyeok_fairseq import translation_model

    shape = Architecture(**toy_training.architecture())  # type: ignore[arg-type]
    values = translation_model.arguments(shape, max_positions=64)
    torch.manual_seed(0)
    model = translation_model.build(values, Dictionary.load(str(folder / "dict.txt")))
    translation_model.write_checkpoint(folder / "checkpoint.pt", model.state_dict(), values, updates=1)
