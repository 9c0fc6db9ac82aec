"""d-vectors: the GE2E speaker encoder whose weights `resemblyzer` ships, the same that condition AV2AV's vocoder.

The network, the partial windows and the volume are resemblyzer 0.1.4's (`voice_encoder.py`, `audio.py`); its package is
not imported, since it wants webrtcvad and librosa. Its trimming of long silences needs webrtcvad and is left out.
"""

import hashlib
import io
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from tongyeok.base.audio import SAMPLE_RATE, Samples
from tongyeok.base.products import Products, autocast
from tongyeok.errors import CheckpointError
from tongyeok.unit2speech.mel import MelSpectrogram

DVECTOR = 256  # dimensions
MELS = 40
WINDOW_SAMPLES = 400  # 25 ms
HOP = 160  # samples, 10 ms
PARTIAL_FRAMES = 160  # one look of the encoder: 1.6 s
PARTIAL_STEP = 77  # frames between looks: round(100 / 1.3), resemblyzer's rate of 1.3 looks a second
MIN_COVERAGE = 0.75  # a last look with less of the recording in it is dropped
TARGET_DBFS = -30.0  # quieter recordings are raised to this level
INT16_MAX = 32767
PARTIALS_AT_ONCE = 64  # larger batches are no faster on a CPU
WEIGHTS_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"

DVector = Float[np.ndarray, "256"]


class SpeakerEncoder(nn.Module):
    """40 mels -> 3 LSTM layers of 256 -> Linear, ReLU, unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelSpectrogram(sample_rate=SAMPLE_RATE, fft_samples=WINDOW_SAMPLES, hop=HOP, mels=MELS)
        self.lstm = nn.LSTM(MELS, DVECTOR, num_layers=3, batch_first=True)
        self.linear = nn.Linear(DVECTOR, DVECTOR)

    def forward(self, mels: Float[Tensor, "partials frames 40"]) -> Float[Tensor, "partials 256"]:
        """d-vectors of unit length of equally long mel spectrograms."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])).float(), dim=1)

    @torch.inference_mode()
    def embed(self, clips: Iterable[Samples], *, products: Products = "float32") -> Float[np.ndarray, "clips 256"]:
        """d-vectors of recordings: the mean over partial windows, at unit length.

        Args:
            clips: 16 kHz mono recordings in [-1, 1], not empty; taken one after the other, never all at once.
            products: precision of matrix products; bfloat16 takes half the time.

        Returns:
            float32 vectors, one per clip.
        """
        vectors: list[Tensor] = []
        waiting: list[list[Tensor]] = []
        for clip in clips:
            waiting.append(self._partials(clip))
            if sum(map(len, waiting)) >= PARTIALS_AT_ONCE:
                vectors += self._means(waiting, products)
                waiting = []
        vectors += self._means(waiting, products)
        return torch.stack(vectors).cpu().numpy() if vectors else np.zeros((0, DVECTOR), dtype=np.float32)

    def _means(self, clips: list[list[Float[Tensor, "160 40"]]], products: Products) -> list[Float[Tensor, "256"]]:
        if not clips:
            return []
        with autocast(self.linear.weight.device, products):
            looks = self(torch.stack([look for clip in clips for look in clip]))
        means = [own.mean(dim=0) for own in looks.split([len(clip) for clip in clips])]
        return list(nn.functional.normalize(torch.stack(means), dim=1))

    def _partials(self, samples: Samples) -> list[Float[Tensor, "160 40"]]:
        starts = partial_starts(len(samples))
        covered = (starts[-1] + PARTIAL_FRAMES) * HOP
        padded = np.pad(raise_volume(samples), (0, max(0, covered - len(samples))))
        frames = self.mel(torch.from_numpy(padded).to(self.linear.weight.device)).T
        return [frames[start : start + PARTIAL_FRAMES] for start in starts]


def partial_starts(samples: int) -> list[int]:
    """First mel frame of each partial window over a recording of `samples` samples; at least one."""
    frames = int(np.ceil((samples + 1) / HOP))
    starts = list(range(0, max(1, frames - PARTIAL_FRAMES + PARTIAL_STEP + 1), PARTIAL_STEP))
    coverage = (samples / HOP - starts[-1]) / PARTIAL_FRAMES
    return starts[:-1] if coverage < MIN_COVERAGE and len(starts) > 1 else starts


def raise_volume(samples: Samples) -> Samples:
    """Scale a recording below -30 dBFS up to that level; louder ones and digital silence stay as they are."""
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if level == 0:
        return samples
    change_db = TARGET_DBFS - 20 * np.log10(level)
    return samples if change_db < 0 else np.asarray(samples * 10 ** (change_db / 20), dtype=np.float32)


def weights_path() -> Path:
    """Where the installed `resemblyzer` keeps its weights; the package is located, not imported.

    Raises:
        CheckpointError: resemblyzer is not installed, or its wheel holds no weights.
    """
    spec = find_spec("resemblyzer")
    if spec is None or spec.origin is None:
        raise CheckpointError(
            "the package `resemblyzer` (its weights) is not installed; pip install --no-deps resemblyzer"
        )
    path = Path(spec.origin).with_name("pretrained.pt")
    if not path.is_file():
        raise CheckpointError(f"{path}: the speaker encoder's weights are missing; reinstall `resemblyzer`")
    return path


def load_speaker_encoder(path: Path | None = None, *, device: str = "cpu") -> SpeakerEncoder:
    """The speaker encoder with resemblyzer's published weights, ready to embed.

    Args:
        path: the weights file; the installed resemblyzer's if None.
        device: where it shall run.

    Raises:
        CheckpointError: the file is missing or is not the published one.
    """
    path = weights_path() if path is None else path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: the speaker encoder's weights cannot be read ({error})") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise CheckpointError(
            f"{path}: expected resemblyzer's published weights, sha256 {WEIGHTS_SHA256}, got {digest}; "
            "reinstall `resemblyzer==0.1.4`"
        )
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["model_state"]
    encoder = SpeakerEncoder()
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    return encoder.to(device).eval()
