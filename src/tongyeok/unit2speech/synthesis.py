"""A finished vocoder: saved as `generator.safetensors` and `config.json`, loaded without running code, spoken with."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from pydantic import Discriminator
from safetensors import SafetensorError
from torch import Tensor

from tongyeok import config
from tongyeok.base.audio import Samples
from tongyeok.base.files import whole, write_json
from tongyeok.base.units import Units, UnitSource, repeat, run_lengths
from tongyeok.errors import CheckpointError, UnitError
from tongyeok.unit2speech.durations import to_frames
from tongyeok.unit2speech.fourier import FourierConfig, FourierGenerator
from tongyeok.unit2speech.generator import Generator
from tongyeok.unit2speech.hifigan import HifiganConfig, HifiganGenerator
from tongyeok.unit2speech.speaker_encoder import DVECTOR

WEIGHTS = "generator.safetensors"
CONFIG = "config.json"

# The loader picks the class by its field `head`, so that messages speak of that head's fields alone.
GeneratorConfig = Annotated[FourierConfig | HifiganConfig, Discriminator("head")]


@config.section
class Description:
    """The part of `config.json` that says how the generator is built."""

    generator: GeneratorConfig


def build_generator(cfg: GeneratorConfig, *, clusters: int, languages: int, seed: int) -> Generator:
    """A generator with fresh weights, drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _generator(cfg, clusters=clusters, languages=languages)


def _generator(cfg: GeneratorConfig, *, clusters: int, languages: int) -> Generator:
    if isinstance(cfg, HifiganConfig):
        return HifiganGenerator(cfg, clusters=clusters, languages=languages)
    return FourierGenerator(cfg, clusters=clusters, languages=languages)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitVocoder:
    """Units in, speech out.

    Attributes:
        generator: in evaluation mode, on its device.
        cfg: the generator's kind (`head`) and dimensions.
        languages: ISO 639 codes, in the order of the generator's language vectors.
        source: the codebook whose units it understands.
    """

    generator: Generator
    cfg: GeneratorConfig
    languages: tuple[str, ...]
    source: UnitSource

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "UnitVocoder":
        """Load what `save` wrote, onto `device`.

        Raises:
            CheckpointError: a file is missing or broken, or weights and dimensions disagree.
        """
        path = folder / CONFIG
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            cfg = config.build(Description, {"generator": values["generator"]}, where=str(path)).generator
            languages, source = tuple(values["languages"]), UnitSource(**values["source"])
            generator = _generator(cfg, clusters=source.clusters, languages=len(languages))
            generator.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{folder}: not a vocoder that can be used ({error}); rebuild `vocoder`") from None
        return cls(generator=generator.to(device).eval(), cfg=cfg, languages=languages, source=source)

    def save(self, folder: Path) -> None:
        """Write weights and description, the same bytes for the same vocoder."""
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.generator.state_dict().items()}
        with whole(folder / WEIGHTS) as partial:
            partial.write_bytes(safetensors.torch.save(state))
        values = {"generator": asdict(self.cfg), "languages": list(self.languages), "source": asdict(self.source)}
        write_json(folder / CONFIG, values)

    def folded(self) -> "UnitVocoder":
        """The same vocoder with what does not depend on the units done once: to speak much, not to be saved."""
        # Not a deep copy: parametrised modules share their class with it, and folding changes the class.
        generator = build_generator(self.cfg, clusters=self.source.clusters, languages=len(self.languages), seed=0)
        generator.load_state_dict(self.generator.state_dict())
        generator.to(next(self.generator.parameters()).device).eval().fold()
        return replace(self, generator=generator)

    def synthesise(
        self,
        units: Units,
        *,
        dvector: Float[np.ndarray, " dimensions"],
        lang: str,
        predict_durations: bool,
        source: UnitSource | None = None,
    ) -> Samples:
        """Speak a unit sequence.

        Args:
            units: 0-based ids. With `predict_durations` repeats are dropped at this door and each unit lasts as long as
                predicted; without, one unit is one 20 ms frame.
            dvector: of the speaker whose voice is wanted, at unit length.
            lang: ISO 639 code of the language to speak.
            predict_durations: whether the units come without their durations.
            source: where the units come from, if known; it must be the vocoder's own codebook.

        Returns:
            float32 samples, 16 kHz, UNIT_HOP for each frame.

        Raises:
            UnitError: no units, out of range or of another codebook; an unknown language; an ill-shaped d-vector.
        """
        self._check(units, dvector=dvector, lang=lang, source=source)
        device = next(self.generator.parameters()).device
        language = torch.tensor([self.languages.index(lang)], device=device)
        with torch.inference_mode():
            if predict_durations:
                codes, _ = run_lengths(units)
                log_durations = self.generator.log_durations(_row(codes, device), language)
                units = repeat(codes, to_frames(log_durations)[0].cpu().numpy())
            speaker = torch.from_numpy(dvector.astype(np.float32))[None].to(device)
            samples = self.generator(_row(units, device), speaker, language)[0]
        return np.asarray(samples.clamp(-1, 1).cpu().numpy())

    def _check(
        self, units: Units, *, dvector: Float[np.ndarray, " dimensions"], lang: str, source: UnitSource | None
    ) -> None:
        clusters = self.source.clusters
        if source is not None and source != self.source:
            raise UnitError(f"this vocoder speaks units of {self.source}, got units of {source}; rebuild `vocoder`")
        if units.ndim != 1 or units.size == 0:
            raise UnitError(f"expected a sequence of at least one unit, got an array of shape {units.shape}")
        if not 0 <= units.min() <= units.max() < clusters:
            raise UnitError(
                f"expected units in 0..{clusters - 1}, got {units.min()}..{units.max()}; check the codebook"
            )
        if dvector.shape != (DVECTOR,):
            raise UnitError(f"expected a d-vector of {DVECTOR} numbers, got shape {dvector.shape}")
        if lang not in self.languages:
            raise UnitError(
                f"this vocoder speaks {', '.join(self.languages)}, not {lang!r}; train it with that language"
            )


def _row(units: Units, device: torch.device) -> Tensor:
    return torch.from_numpy(units.astype(np.int64))[None].to(device)
