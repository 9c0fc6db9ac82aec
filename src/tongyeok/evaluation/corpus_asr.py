"""The corpus's own recogniser as a judge: what the stage `recognizer` left, frozen, with cached transcripts."""

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from tongyeok.base.files import sha256
from tongyeok.base.utterances import Utterance
from tongyeok.engine.recognizer import Recognizer
from tongyeok.errors import CheckpointError, EvaluationError
from tongyeok.evaluation import asr
from tongyeok.evaluation.asr import Load
from tongyeok.evaluation.transcripts import Transcripts, audio_hash
from tongyeok.recognizer.letters import read

REVISION = 1  # of how clips are put before it; raise it when it hears otherwise, so that kept transcripts are not used
HEARD_AT_ONCE = 16  # clips in memory
CHECKPOINT, METRICS, GROUPS = "checkpoint.pt", "metrics.json", "train.groups"  # what the stage leaves


class CorpusAsr:
    """A recogniser that was trained on this corpus's training sentences; clips are heard as they are, unpadded.

    Args:
        folder: outputs of the stage `recognizer`.
        languages: those that it will hear.
        device: `cpu` or `cuda`.

    Raises:
        CheckpointError: the folder holds no recogniser, or one that was not trained on a language.
    """

    def __init__(self, folder: Path, *, languages: Sequence[str], device: str) -> None:
        try:
            metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
            self._groups = set((folder / GROUPS).read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{folder}: no outputs of the stage `recognizer` ({error}); ask for it by evaluate.asr.recognizer"
            ) from None
        self._valid = {
            key.removeprefix("cer/"): float(value) for key, value in metrics.items() if key.startswith("cer/")
        }
        strange = [lang for lang in languages if lang not in self._valid]
        if strange:
            raise CheckpointError(
                f"evaluate.asr.recognizer: {folder} was trained on {', '.join(self._valid)}, not {strange[0]!r}; add "
                "it to recognizer.languages or take it out"
            )
        self._folder = folder
        self._recognizer = Recognizer(folder / CHECKPOINT, device=device)
        self._languages = list(dict.fromkeys(languages))
        self._sha256 = sha256(folder / CHECKPOINT)
        settings = {"recognizer": self._sha256, "revision": REVISION, "device": device, "torch": version("torch")}
        self._kept = Transcripts(asr.CACHE / "transcripts", settings)

    @property
    def identity(self) -> str:
        """The model, that it was taught here, and how well it hears validation data, for reports."""
        errors = ", ".join(f"{lang} {self._valid[lang]:.1f} %" for lang in self._languages)
        return (
            f"recognizer sha256:{self._sha256[:12]}, HuBERT with CTC trained on this corpus's training sentences, "
            f"greedy, CER on valid {errors}"
        )

    def check_unseen(self, tested: Iterable[Utterance]) -> None:
        """Refuse to judge sentences that it was trained on, as after a new split of the corpus.

        Raises:
            EvaluationError: a tested utterance belongs to one of its training groups.
        """
        seen = [utterance for utterance in tested if utterance.group in self._groups]
        if seen:
            raise EvaluationError(
                f"{self._folder}: the recogniser was trained on group {seen[0].group!r}, to which test utterance "
                f"{seen[0].utt} and {len(seen) - 1} more belong, and would judge them too kindly; remove the folder "
                "and train it again (`make recognizer`)"
            )

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """Transcripts of clips, in their order; empty for a clip without samples.

        Args:
            clips: each gives 16 kHz mono samples when called.
            lang: what is spoken; the recogniser is not told.
            description: what the progress bar says.
        """
        assert lang in self._valid
        texts: list[str] = []
        with tqdm(total=len(clips), desc=description, unit="clip", disable=None) as bar:
            for start in range(0, len(clips), HEARD_AT_ONCE):
                loaded = [load() for load in clips[start : start + HEARD_AT_ONCE]]
                keys = [audio_hash(samples) for samples in loaded]
                new = {key: samples for key, samples in zip(keys, loaded, strict=True) if self._kept.get(key) is None}
                for key, symbols in zip(new, self._recognizer.hear(list(new.values())), strict=True):
                    self._kept.put(key, read(symbols))
                texts += [self._kept.get(key) or "" for key in keys]
                bar.update(len(loaded))
        return texts
