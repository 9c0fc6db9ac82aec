"""Speech recognition for scoring: a whisper model run by CTranslate2, always the same way, with cached transcripts.

Greedy or beam search at temperature 0 in a fixed language, without timestamps, previous text or voice activity
detection: a transcript depends on audio and settings alone. With a window of 30 s it is the one that faster-whisper's
`transcribe` gives for such options.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel, download_model
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens
from faster_whisper.utils import available_models
from jaxtyping import Float
from tqdm import tqdm

from tongyeok.base.audio import SAMPLE_RATE, Samples
from tongyeok.base.files import sha256
from tongyeok.config import section
from tongyeok.errors import CheckpointError, ConfigError
from tongyeok.evaluation import whisper_base
from tongyeok.evaluation.transcripts import Transcripts, audio_hash

CACHE = Path(".tongyeok")
LONGEST_WINDOW_S = 30.0  # what whisper was trained on
FRAMES_PER_SECOND = 100  # of whisper's log-mel features
REVISION = 1  # of this module; raise it when it hears otherwise, so that kept transcripts are not used
MOST_TOKENS = 224  # half of the decoder's context, whisper's own limit for a window

Load = Callable[[], Samples]


@section
class AsrConfig:
    """Part `asr` of section `evaluate`."""

    model: str  # `whisper-base` (offline, from pip), a folder in CTranslate2's form, or a name on faster-whisper's hub
    languages: tuple[str, ...]  # ISO 639 codes that the model understands well enough in this domain to be scored
    recognizer: tuple[str, ...]  # languages that the stage `recognizer`, trained on this corpus, hears instead
    compute_type: str  # CTranslate2's; int8 on CPUs, float16 on GPUs
    beam: int  # hypotheses kept; 1 is greedy
    window_s: float  # s that the encoder sees at a time, shorter clips padded; whisper: 30
    padding_s: float  # s of silence put before and after every clip, original or made
    max_tokens: int  # longest transcript of one window; whisper: 224

    def __post_init__(self) -> None:
        """Check the rules."""
        if self.beam < 1:
            raise ValueError(f"beam: expected at least 1, got {self.beam}; 1 is greedy")
        if not 1 <= self.window_s <= LONGEST_WINDOW_S:
            raise ValueError(f"window_s: expected 1 to {LONGEST_WINDOW_S:g}, got {self.window_s}; whisper's is 30")
        if not 0 <= self.padding_s < self.window_s / 2:
            raise ValueError(f"padding_s: expected 0 <= value < window_s / 2, got {self.padding_s}; lower it")
        if not 1 <= self.max_tokens <= MOST_TOKENS:
            raise ValueError(f"max_tokens: expected 1 to {MOST_TOKENS}, got {self.max_tokens}")


def locate(model: str) -> Path:
    """The folder of a model; only a model of faster-whisper's hub is ever downloaded.

    Raises:
        CheckpointError: there is no such model, or it cannot be had.
    """
    if model == whisper_base.NAME:
        return whisper_base.assemble(CACHE / "models" / model)
    if (Path(model) / "model.bin").is_file():
        return Path(model)
    if model not in available_models() and model.count("/") != 1:
        raise CheckpointError(
            f"evaluate.asr.model: expected {whisper_base.NAME}, a folder with model.bin, a hub's owner/name or one of "
            f"{', '.join(available_models())}, got {model!r}"
        )
    try:
        return Path(download_model(model))
    except Exception as error:  # noqa: BLE001  the hub's client raises many kinds
        raise CheckpointError(
            f"evaluate.asr.model: {model} cannot be had from the hub ({error}); use {whisper_base.NAME} or a folder"
        ) from None


class Whisper:
    """A whisper model with fixed settings.

    One clip is transcribed per thread, so transcripts do not depend on the number of threads.

    Args:
        cfg: the settings.
        device: `cpu` or `cuda`.
        threads: clips transcribed at a time.

    Raises:
        CheckpointError: the model cannot be had.
        ConfigError: the device cannot compute in the wanted type.
    """

    def __init__(self, cfg: AsrConfig, *, device: str, threads: int) -> None:
        folder = locate(cfg.model)
        self._cfg, self._threads = cfg, threads
        self._name = folder.name if Path(cfg.model).is_dir() else cfg.model  # no local paths in reports
        self._sha256 = sha256(folder / "model.bin")
        supported = sorted(ctranslate2.get_supported_compute_types(device))
        if cfg.compute_type not in supported:
            raise ConfigError(
                f"evaluate.asr.compute_type: expected one of {', '.join(supported)} on {device}, got {cfg.compute_type}"
            )
        self._model = WhisperModel(
            str(folder), device=device, compute_type=cfg.compute_type, cpu_threads=1, num_workers=threads
        )
        self._settings = {
            **{name: value for name, value in asdict(cfg).items() if name != "recognizer"},
            "languages": None,
            "model": self._sha256,
            "device": device,
            "revision": REVISION,
            "faster_whisper": version("faster-whisper"),
            "ctranslate2": version("ctranslate2"),
        }

    @property
    def identity(self) -> str:
        """The model and what else decides on a transcript, for reports."""
        cfg = self._cfg
        search = "greedy" if cfg.beam == 1 else f"beam {cfg.beam}"
        return (
            f"{self._name} sha256:{self._sha256[:12]}, {search}, {cfg.compute_type}, window {cfg.window_s:g} s, "
            f"padding {cfg.padding_s:g} s, faster-whisper {version('faster-whisper')}"
        )

    def transcribe(self, clips: Sequence[Load], *, lang: str, description: str) -> list[str]:
        """Transcripts of clips in one language, in their order; empty for a clip without samples.

        Args:
            clips: each gives 16 kHz mono samples when called.
            lang: ISO 639 code of what is spoken.
            description: what the progress bar says.

        Raises:
            ConfigError: the model does not know the language.
        """
        prompt, suppressed, tokenizer = self._prompt(lang)
        kept = Transcripts(CACHE / "transcripts", {**self._settings, "language": lang})

        def one(load: Load) -> str:
            samples = load()
            if not samples.size:
                return ""
            key = audio_hash(samples)
            text = kept.get(key)
            if text is None:
                windows = [self._decode(part, prompt, suppressed) for part in self._windows(samples)]
                text = " ".join(tokenizer.decode(tokens).strip() for tokens in windows)
                kept.put(key, text)
            return text

        with ThreadPoolExecutor(self._threads) as pool:
            return list(tqdm(pool.map(one, clips), total=len(clips), desc=description, unit="clip", disable=None))

    def _prompt(self, lang: str) -> tuple[list[int], Sequence[int], Tokenizer]:
        multilingual = bool(self._model.model.is_multilingual)
        known = self._model.supported_languages
        if lang not in known:
            raise ConfigError(
                f"evaluate.asr.languages: {self._cfg.model} knows {', '.join(known)}, not {lang!r}; remove it or name "
                "another model in evaluate.asr.model"
            )
        tokenizer = Tokenizer(self._model.hf_tokenizer, multilingual, task="transcribe", language=lang)
        return [*tokenizer.sot_sequence, tokenizer.no_timestamps], get_suppressed_tokens(tokenizer, [-1]), tokenizer

    def _windows(self, samples: Samples) -> list[Float[np.ndarray, "mels frames"]]:
        """Log-mel features of the padded clip: one window, or several of 30 s where it is longer than that."""
        padding = round(self._cfg.padding_s * SAMPLE_RATE)
        features = self._model.feature_extractor(np.pad(samples, padding))[:, :-1]  # the last one lies beyond the clip
        frames = round(self._cfg.window_s * FRAMES_PER_SECOND)
        if features.shape[1] > frames:
            frames = round(LONGEST_WINDOW_S * FRAMES_PER_SECOND)
        parts = [features[:, start : start + frames] for start in range(0, features.shape[1], frames)]
        return [np.pad(part, ((0, 0), (0, frames - part.shape[1]))).astype(np.float32) for part in parts]

    def _decode(
        self, features: Float[np.ndarray, "mels frames"], prompt: list[int], suppressed: Sequence[int]
    ) -> list[int]:
        batch = ctranslate2.StorageView.from_array(np.ascontiguousarray(features[None]))
        result = self._model.model.generate(
            batch,
            [prompt],
            beam_size=self._cfg.beam,
            max_length=len(prompt) + self._cfg.max_tokens,
            suppress_tokens=list(suppressed),
        )
        tokens: list[int] = result[0].sequences_ids[0]
        return tokens
