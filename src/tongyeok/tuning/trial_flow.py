"""The flow as one trial sees it: pieces made with its parameters from what the project's own flow made."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tongyeok import config
from tongyeok.base.files import write_json
from tongyeok.base.manifests import SPLITS, read_manifest
from tongyeok.errors import TongyeokError
from tongyeok.speech2unit import frame_store, kmeans
from tongyeok.speech2unit.features import CHECKPOINT, GROUP, open_extractor
from tongyeok.tuning.held_out import write_splits
from tongyeok.tuning.pieces import Pieces
from tongyeok.tuning.space import Space

SAMPLED_BY = ("source", "layer", "smoothing", "share", "frames", "seed")  # what a sample of frames depends on


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """Outputs of the project's flow; those that a study makes itself, or does not need, may be missing."""

    flow: Path  # usually `outputs`
    last: str  # iteration of HuBERT

    @property
    def hubert(self) -> Path:
        """The last HuBERT."""
        return self.flow / "hubert" / self.last

    def of(self, stage: str) -> Path:
        """A stage's folder."""
        return self.flow / stage

    def needed(self, space: Space, params: Mapping[str, Any]) -> dict[str, Path]:
        """What a study reads: on every machine it must be the same.

        Raises:
            TongyeokError: some of it is missing.
        """
        found = {name: self.of(name) for name in ("corpus", "manifest")}
        if space.kind == "translator":
            found["units"] = self.of("units")
        elif not space.retrains(self.last):
            found["hubert"] = self.hubert
        if "asr_bleu" in space.figures:
            if space.kind == "translator":
                found["vocoder"] = self.of("vocoder")
            if params["evaluate"]["asr"]["recognizer"]:
                found["recognizer"] = self.of("recognizer")
        for name, path in found.items():
            if not path.is_dir():
                raise TongyeokError(
                    f"{path}: a study of {space.kind} needs the outputs of `{name}`; run `dvc repro {name}`"
                )
        return found


class TrialFlow:
    """Pieces of one trial, each made when it is asked for.

    Args:
        params: whole parameters of the trial.
        space: of the study.
        given: outputs of the project's flow.
        pieces: where they are made.
    """

    def __init__(self, params: Mapping[str, Any], *, space: Space, given: Given, pieces: Pieces) -> None:
        self.params, self.given, self.pieces = params, given, pieces
        self._space = space

    @property
    def corpus(self) -> Path:
        """As the project has it."""
        return self.given.of("corpus")

    def manifest(self) -> Path:
        """The study's own splits."""
        inputs = {"manifest": self.given.of("manifest"), "corpus": self.corpus}
        seed = self._space.seed
        return self.pieces.once(
            "manifest", {"seed": seed}, inputs, lambda outputs, _: write_splits(**inputs, folder=outputs, seed=seed)
        )

    def hubert(self, iteration: str) -> Path:
        """HuBERT of an iteration: the project's last one, unless the study varies what it learns from."""
        if not self._space.retrains(self.given.last):
            return self.given.hubert
        previous = str(int(iteration) - 1)
        inputs = {"manifest": self.manifest(), "labels": self.labels(previous)}
        return self.pieces.stage("hubert", self.params, inputs, item=iteration)

    def features(self, iteration: str) -> Path:
        """HuBERT of an iteration with the frames of the layer that its codebook is of, extracted once."""
        model, layer = self.hubert(iteration), self.params["kmeans"][iteration]["layer"]
        manifest = self.manifest()

        def build(outputs: Path, _: Path) -> None:
            shutil.copyfile(model / CHECKPOINT, outputs / CHECKPOINT)
            extractor = open_extractor(hubert=outputs, layer=layer)
            first = extractor.extract([np.zeros(2 * 16000, dtype=np.float32)])[0]
            frame_store.store_frames(
                outputs / frame_store.FOLDER / str(layer),
                [read_manifest(manifest, split) for split in SPLITS],
                extractor.extract,
                width=first.shape[1],
                group=GROUP if torch.cuda.is_available() else 1,
            )

        return self.pieces.once("features", {"layer": layer}, {"hubert": model, "manifest": manifest}, build)

    def kmeans(self, iteration: str) -> Path:
        """The codebook of an iteration; codebooks of one layer and share are fitted on one sample of frames."""
        values = self.params["kmeans"][iteration]
        cfg = config.build(kmeans.KmeansConfig, values, where=f"kmeans.{iteration}")
        inputs = {"manifest": self.manifest(), **self._model(iteration)}

        def sample(outputs: Path, _: Path) -> None:
            extractor = open_extractor(hubert=inputs.get("hubert"), layer=cfg.layer, smoothing=cfg.smoothing)
            taken = kmeans.take_sample(cfg, read_manifest(inputs["manifest"], "train"), extractor)
            np.save(outputs / "frames.npy", taken.frames)
            write_json(outputs / "sample.json", {"seen": taken.seen})

        sampled = self.pieces.once("sample", {name: values[name] for name in SAMPLED_BY}, inputs, sample)

        def fit(outputs: Path, _: Path) -> None:
            extractor = open_extractor(hubert=inputs.get("hubert"), layer=cfg.layer, smoothing=cfg.smoothing)
            seen = json.loads((sampled / "sample.json").read_text(encoding="utf-8"))["seen"]
            taken = kmeans.Sample(frames=np.load(sampled / "frames.npy", allow_pickle=False), seen=seen)
            kmeans.write_codebook(cfg, taken, extractor, outputs)

        return self.pieces.once("kmeans", {"cfg": values}, {"sample": sampled}, fit)

    def labels(self, iteration: str) -> Path:
        """Targets of the next iteration."""
        inputs = {"manifest": self.manifest(), "kmeans": self.kmeans(iteration), **self._model(iteration)}
        return self.pieces.stage("labels", self.params, inputs, item=iteration)

    def units(self) -> Path:
        """The units of every split: made, or the project's own in a study of the translator."""
        if self._space.kind == "translator":
            return self.given.of("units")
        last = self.given.last
        inputs = {**self._spoken(), "kmeans": self.kmeans(last), **self._model(last)}
        return self.pieces.stage("units", self.params, inputs)

    def unit_health(self) -> Path:
        """How the units are used.

        Raises:
            UnitError: they collapsed.
        """
        return self.pieces.stage("unit_health", self.params, {**self._spoken(), "units": self.units()})

    def bitext(self) -> Path:
        """Pairs, binarised; trials with the same units and tags share it."""
        return self.pieces.stage("bitext", self.params, {**self._spoken(), "units": self.units()})

    def translator(self) -> Path:
        """The translator."""
        return self.pieces.stage("translator", self.params, {"bitext": self.bitext()})

    def vocoder(self) -> Path:
        """The vocoder: made for the trial's units, or the project's own in a study of the translator."""
        if self._space.kind == "translator":
            return self.given.of("vocoder")
        return self.pieces.stage("vocoder", self.params, {**self._spoken(), "units": self.units()})

    def scores(self) -> Path:
        """Translations of the project's valid split, scored."""
        bitext = self.bitext()
        made = {"units": self.units(), "bitext": bitext, "translator": self.translator(), "vocoder": self.vocoder()}
        spoken = self.pieces.stage("translate_test", self.params, {**self._spoken(), **made})
        inputs = {"corpus": self.corpus, "bitext": bitext, "translate_test": spoken}
        if self.params["evaluate"]["asr"]["recognizer"]:
            inputs["recognizer"] = self.given.of("recognizer")
        return self.pieces.stage("evaluate", self.params, inputs)

    def _spoken(self) -> dict[str, Path]:
        return {"corpus": self.corpus, "manifest": self.manifest()}

    def _model(self, iteration: str) -> dict[str, Path]:
        """The HuBERT of an iteration by its input name; none for MFCC."""
        return {} if self.params["kmeans"][iteration]["layer"] is None else {"hubert": self.features(iteration)}
