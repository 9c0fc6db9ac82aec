"""Make what a comparison of units needs: for every contender a codebook, units, a vocoder, and what is heard of it.

The contenders share one manifest, K, the switch penalty, and the number of the vocoder's updates. All parts of a
contender lie in a folder of its own; each appears whole or not at all, and is made only where it is missing.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from tongyeok.base.files import sha256, write_json
from tongyeok.base.manifests import SPLITS, read_manifest, subset, write_manifest
from tongyeok.base.utterances import TABLE, Utterance, read_utterances
from tongyeok.errors import CheckpointError, EvaluationError
from tongyeok.evaluation import resynthesis
from tongyeok.evaluation.asr import Whisper
from tongyeok.evaluation.evaluate import EvaluateConfig
from tongyeok.evaluation.metrics import Score
from tongyeok.evaluation.resynthesis_page import read_heard, write_page
from tongyeok.evaluation.resynthesis_scores import SCORES, Heard, LanguageScores, public, score
from tongyeok.evaluation.unit_comparison import Contender, Row, UnitFigures, less, unit_figures
from tongyeok.speech2unit.features import CHECKPOINT
from tongyeok.speech2unit.health_phones import read_alignments
from tongyeok.speech2unit.unit_health import PHONES
from tongyeok.unit2speech.speaker_encoder import load_speaker_encoder

HELD_OUT = "valid"  # units may be chosen by what is found here, so test stays unseen
SETTINGS = "settings.json"
PAGE = "resynthesis"
EXAMPLES = 6  # utterances of each language on a contender's page


class RunStage(Protocol):
    """Something that runs a stage of the flow; those that have iterations, as their last one."""

    def __call__(self, name: str, outputs: Path, inputs: Mapping[str, Path], settings: Sequence[str]) -> None:
        """Run stage `name` on inputs by their names, with `section.field=value` settings; `outputs` appears whole."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What the contenders share.

    `manifest` holds the compared languages and an empty test split; `utterances` are to be resynthesised, by language;
    `sections` are plain values of `params.yaml`.
    """

    outputs: Path
    corpus: Path
    manifest: Path
    utterances: Mapping[str, Sequence[Utterance]]
    vocoder_updates: int
    sections: Mapping[str, Any]
    evaluate: EvaluateConfig
    run_stage: RunStage

    @classmethod
    def begin(
        cls,
        outputs: Path,
        *,
        corpus: Path,
        manifest: Path,
        languages: Sequence[str] | None,
        vocoder_updates: int,
        sections: Mapping[str, Any],
        evaluate: EvaluateConfig,
        run_stage: RunStage,
    ) -> "Study":
        """Write the manifest of the compared languages and the settings into `outputs`, or go on with those there.

        Raises:
            EvaluationError: the recogniser understands none of the languages, or `outputs` has other settings.
        """
        study = cls(
            outputs=outputs,
            corpus=corpus,
            manifest=outputs / "manifest",
            utterances=resynthesis.read_split(
                corpus, manifest, HELD_OUT, languages=languages, known=evaluate.asr.languages
            ),
            vocoder_updates=vocoder_updates,
            sections=sections,
            evaluate=evaluate,
            run_stage=run_stage,
        )
        settings: dict[str, object] = {
            **{name: sections[name] for name in ("units", "vocoder", "evaluate", "runtime")},
            "kmeans": study.codebook,
            "vocoder updates": vocoder_updates,
            "languages": list(study.utterances),
            "corpus": sha256(corpus / TABLE),
            "manifest": [sha256(manifest / f"{split}.utt") for split in SPLITS],
        }
        if not (outputs / SETTINGS).is_file():
            _restrict(manifest, study)
            write_json(outputs / SETTINGS, settings)  # last, so that a manifest beside it is whole
        before = _read(outputs / SETTINGS)
        changed = [name for name, value in settings.items() if before.get(name) != value]
        if changed:
            raise EvaluationError(
                f"{outputs}: expected what the same settings made, got other {', '.join(changed)}; remove the folder, "
                "or give another"
            )
        return study

    @property
    def codebook(self) -> Mapping[str, Any]:
        """The settings of HuBERT's codebooks: those of the flow's last one."""
        values: Mapping[str, Any] = self.sections["kmeans"][self.sections["flow"]["last"]]
        return values

    @staticmethod
    def mfcc(smoothing: int) -> Contender:
        """Units of MFCC."""
        return Contender(
            name=f"mfcc-smoothing-{smoothing}", hubert=None, updates=None, minutes=None, smoothing=smoothing
        )

    def hubert(self, folder: Path, *, minutes: float | None) -> Contender:
        """Units of the HuBERT in `folder`, which tells itself how many updates it had.

        Raises:
            CheckpointError: the folder is not one of the stage `hubert`.
        """
        curves, checkpoint = folder / "curves.csv", folder / CHECKPOINT
        if not (curves.is_file() and checkpoint.is_file()):
            raise CheckpointError(
                f"--hubert {folder}: expected {CHECKPOINT} and curves.csv, as the stage `hubert` leaves them; run it"
            )
        with curves.open(encoding="utf-8", newline="") as file:
            updates = max(int(row["step"]) for row in csv.DictReader(file))
        return Contender(
            name=f"hubert-{updates}-{sha256(checkpoint)[:8]}",
            hubert=folder,
            updates=updates,
            minutes=minutes,
            smoothing=self.codebook["smoothing"],
        )

    def figures(self, contender: Contender) -> dict[str, UnitFigures]:
        """Figures of the contender's units by language; codebook and units are made where they are missing."""
        folder = self.outputs / contender.name
        item = f"kmeans.{self.sections['flow']['last']}"
        model = {} if contender.hubert is None else {"hubert": contender.hubert}
        own = [f"{item}.source=manifest", f"{item}.layer=null", f"{item}.smoothing={contender.smoothing}"]
        self._make("kmeans", folder, {"manifest": self.manifest, **model}, [] if model else own)
        inputs = {"corpus": self.corpus, "manifest": self.manifest, "kmeans": folder / "kmeans", **model}
        self._make("units", folder, inputs)
        phones = self.corpus / PHONES
        alignments = read_alignments(phones) if phones.is_file() else {}
        return unit_figures(folder / "units", alignments, languages=tuple(self.utterances))

    def choose(self, candidates: Sequence[Contender]) -> Contender:
        """The candidate whose units tell most about phones, by PNMI averaged over languages; at a tie the first.

        Raises:
            EvaluationError: there are several to choose from, but the corpus knows no phones.
        """
        if len(candidates) == 1:
            return candidates[0]
        if not (self.corpus / PHONES).is_file():
            raise EvaluationError(
                f"--mfcc-smoothing: expected one number, since {self.corpus} has no {PHONES} to choose by, got "
                f"{','.join(str(candidate.smoothing) for candidate in candidates)}"
            )
        return max(candidates, key=lambda candidate: sum(row.pnmi or 0 for row in self.figures(candidate).values()))

    def speak(self, contender: Contender) -> None:
        """Train the contender's vocoder and write its page of resynthesised speech, where they are missing."""
        folder = self.outputs / contender.name
        inputs = {"corpus": self.corpus, "manifest": self.manifest, "units": folder / "units"}
        # Speech gets its true durations, so their predictor stays as it is but for the one update that a stage needs.
        self._make("vocoder", folder, inputs, [f"vocoder.updates={self.vocoder_updates}", "vocoder.duration_updates=1"])
        if (folder / PAGE).is_dir():
            return
        threads = self.sections["runtime"]["threads"]
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        whisper = Whisper(self.evaluate.asr, device=device, threads=threads)
        found = resynthesis.measure(
            self.utterances,
            folders=resynthesis.Folders(
                corpus=self.corpus, manifest=self.manifest, units=folder / "units", vocoder=folder / "vocoder"
            ),
            whisper=whisper,
            encoder=load_speaker_encoder(device=device),
            device=device,
        )
        scores = public(self._score(found.heard), split=HELD_OUT, asr=whisper.identity)
        write_page(folder / PAGE, found, scores, self.utterances, corpus=self.corpus, examples=EXAMPLES)

    def rows(self, contender: Contender, *, baseline: Contender) -> list[Row]:
        """The contender's rows of the table, from its units and from what was heard of it and of the baseline."""
        units = self.figures(contender)
        for each in (baseline, contender):
            self.speak(each)
        ours, theirs = (read_heard(self.outputs / each.name / PAGE) for each in (contender, baseline))
        against = {} if contender == baseline else self._less(ours, theirs)
        return [
            Row(
                contender=contender,
                lang=lang,
                units=units[lang],
                mel_error=_read(self.outputs / contender.name / "vocoder" / "metrics.json")["mel_error"],
                speech=speech,
                less_mfcc=against.get(lang),
            )
            for lang, speech in self._score(ours).items()
        ]

    def method(self, candidates: Sequence[Contender], baseline: Contender) -> list[str]:
        """What was compared and how, line by line."""
        counts = {split: len(read_manifest(self.manifest, split).utts) for split in ("train", HELD_OUT)}
        tried = [
            f"{candidate.smoothing} times {lang} {row.pnmi:.3f}"
            for candidate in candidates
            for lang, row in self.figures(candidate).items()
            if row.pnmi is not None
        ]
        heard = _read(self.outputs / baseline.name / PAGE / SCORES)
        k, penalty = self.codebook["clusters"], self.sections["units"]["switch_penalty"]
        return [
            f"{', '.join(self.utterances)}: codebooks and vocoders learn from {counts['train']} utterances of train.",
            f"{counts[HELD_OUT]} utterances of {HELD_OUT} are resynthesised; test is unseen.",
            f"K = {k}; switch penalty {penalty:g}, in the scale of each codebook.",
            f"HuBERT: layer {self.codebook['layer']}, smoothed {self.codebook['smoothing']} times, 50 frames a second.",
            f"MFCC: smoothed {baseline.smoothing} times, 100 frames a second. PNMI: {', '.join(tried) or 'unknown'}.",
            f"Vocoders: {self.vocoder_updates} updates each, true durations.",
            f"Units a second, phone purity and PNMI are those of train and {HELD_OUT}.",
            "“less MFCC's” pairs the utterances; below 0, HuBERT is heard better. Intervals: bootstrap over sentences.",
            "HuBERT's training comes on top of all that MFCC needs. Its minutes are those of its last process here.",
            f"Heard by {heard['asr']}.",
        ]

    def _less(self, ours: Sequence[Heard], theirs: Sequence[Heard]) -> dict[str, Score]:
        return {
            lang: less(
                [row for row in ours if row.lang == lang],
                [row for row in theirs if row.lang == lang],
                resamples=self.evaluate.resamples,
                seed=self.evaluate.seed,
            )
            for lang in self.utterances
        }

    def _score(self, heard: Sequence[Heard]) -> dict[str, LanguageScores]:
        return score(heard, resamples=self.evaluate.resamples, seed=self.evaluate.seed)

    def _make(self, name: str, folder: Path, inputs: Mapping[str, Path], settings: Sequence[str] = ()) -> None:
        if not (folder / name).is_dir():
            self.run_stage(name, folder / name, inputs, settings)


def _restrict(manifest: Path, study: Study) -> None:
    """Write the study's manifest: the compared languages' part of `manifest`, and nothing of its test split."""
    wanted = {row.utt for row in read_utterances(study.corpus) if row.lang in study.utterances}
    for split in SPLITS:
        given = read_manifest(manifest, split)
        keep = [row for row, utt in enumerate(given.utts) if utt in wanted and split != "test"]
        write_manifest(study.manifest, split, subset(given, keep))


def _read(path: Path) -> Any:  # noqa: ANN401  JSON
    return json.loads(path.read_text(encoding="utf-8"))
