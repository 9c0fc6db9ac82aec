"""`tongyeok translate` of a clip of 5 s with the models of a finished `make demo` (`outputs/`), loaded and from cold.

Stock is the same chain with fairseq's parts for the steps that fairseq has: GSLM's `HubertFeatureReader` (the whole
model, one clip at a time) and `SequenceGenerator`. Its other steps (the switch penalty, the speaker's vector, the
Fourier vocoder) have no stock counterpart for these models and are ours on both sides.
"""

import dataclasses
import importlib
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import soundfile
import unit_decode
from fairseq.data import Dictionary
from paired import Row, compare

from tongyeok import config
from tongyeok.base.audio import SAMPLE_RATE, Samples, read_location
from tongyeok.base.manifests import read_manifest
from tongyeok.base.units import Units
from tongyeok.evaluation import chain
from tongyeok.evaluation.translate_test import TranslateTestConfig
from tongyeok.speech2unit.codebook import FILE, Codebook
from tongyeok.speech2unit.features import smooth
from tongyeok.speech2unit.units import UnitsConfig
from tongyeok_fairseq.translation_model import load_translation_model

OUTPUTS, PARAMS = Path("outputs"), Path("params.yaml")
SECONDS, SOURCE, TARGET = 5, "ko", "en"
ROUNDS, STARTS = 9, 3
READER = "fairseq.examples.textless_nlp.gslm.speech2unit.pretrained.hubert_feature_reader"


class StockReader:
    """GSLM's feature reader of a codebook's checkpoint and layer, in place of our extractor."""

    def __init__(self, checkpoint: Path, codebook: Codebook) -> None:
        self.reader = importlib.import_module(READER).HubertFeatureReader(
            str(checkpoint), codebook.layer, use_cuda=False
        )
        self.reader.read_audio = lambda clip, *_: np.pad(clip, 40)  # what centres our frames; the clip is read already
        self.smoothing = codebook.smoothing

    def extract(self, clips: list[Samples]) -> list[np.ndarray]:
        """Features of clips, smoothed as the codebook wants them."""
        return [smooth(self.reader.get_feats(clip).numpy(), times=self.smoothing) for clip in clips]


class StockTranslator:
    """`SequenceGenerator` as `fairseq-generate` sets it up, in place of our door."""

    def __init__(self, folder: Path) -> None:
        self.dictionary = Dictionary.load(str(folder / "dict.txt"))
        self.model = load_translation_model(folder / "checkpoint.pt", self.dictionary).eval()

    def translate(self, sources: list[str], *, tag: str, **_: object) -> list[Units]:
        """Units of each source's best hypothesis; the search is the demo's."""
        found = unit_decode.generate(self.model, self.dictionary, sources, tag=tag)
        return [np.array(units.split(), dtype=np.int32) for units in found]


def rows() -> list[Row]:
    """Both chains on the same 5 s, equal units and samples; and the whole command from cold."""
    if not (OUTPUTS / "vocoder").is_dir():
        print("translate_clip: left out, it needs the models of a finished `make demo` in outputs/")
        return []
    params = config.read_params(PARAMS)
    sections = {
        name: config.build(kind, config.pick(params, name, None, path=PARAMS), where=name)
        for name, kind in (("units", UnitsConfig), ("translate_test", TranslateTestConfig))
    }
    kmeans = chain.last_iteration(OUTPUTS / "kmeans")
    codebook = Codebook.load(kmeans / FILE)
    hubert = chain.last_iteration(OUTPUTS / "hubert") if codebook.feature == "hubert" else None
    ours = chain.Chain.load(
        kmeans=kmeans,
        hubert=hubert,
        translator=OUTPUTS / "translator",
        vocoder=OUTPUTS / "vocoder",
        switch_penalty=sections["units"].switch_penalty,
        device="cpu",
    )
    stock = dataclasses.replace(ours, translator=StockTranslator(OUTPUTS / "translator"))
    if hubert is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = StockReader(hubert / "checkpoint.pt", codebook)
        stock = dataclasses.replace(stock, extractor=reader)
    clip = _clip()

    def say(models: chain.Chain) -> chain.Translation:
        return models.translate(clip, source=SOURCE, target=TARGET, search=sections["translate_test"])

    one, other = say(ours), say(stock)
    if not (np.array_equal(one.source_units, other.source_units) and np.array_equal(one.units, other.units)):
        raise RuntimeError("the chains hear or say other units")
    samples = float(np.abs(one.samples - other.samples).max())
    if samples > 1e-3:
        raise RuntimeError(f"the chains' samples differ by {samples:.1e}")
    starts = _cold_starts(clip)
    return [
        compare(
            "translate_clip",
            unit="audio seconds",
            amount=SECONDS,
            ours=lambda: say(ours),
            stock=lambda: say(stock),
            rounds=ROUNDS,
            parity=(
                f"{one.source_units.size} source and {one.units.size} target units equal, samples to {samples:.0e}; "
                "stock has fairseq's reader and search, our voice and vocoder"
            ),
            limit=lambda speed: (
                f"the {one.units.size} steps of the search, one after the other; real-time factor {1 / speed:.3f}; "
                f"the whole command from cold: {statistics.median(starts):.1f} s "
                f"({min(starts):.1f} to {max(starts):.1f}), nearly all of it imports of torch and fairseq"
            ),
        )
    ]


def _clip() -> Samples:
    """5 s of the corpus: Korean training clips, one after the other."""
    manifest = read_manifest(OUTPUTS / "manifest", "train")
    own = [row for row, utt in enumerate(manifest.utts) if utt.endswith(f"_{SOURCE}")]
    parts = [read_location(OUTPUTS / "corpus", manifest.locations[row]) for row in own[:4]]
    return np.concatenate(parts)[: SECONDS * SAMPLE_RATE]


def _cold_starts(clip: Samples) -> list[float]:
    """Seconds of the whole command, several times; the first, which fills the disk's cache, is left out."""
    folder = Path(mkdtemp(prefix="tongyeok-bench-"))
    soundfile.write(folder / "clip.wav", clip, SAMPLE_RATE)
    command = [sys.executable, "-m", "tongyeok", "translate", str(folder / "clip.wav")]
    command += ["--from", SOURCE, "--to", TARGET, "--output", str(folder / "said.wav")]
    seconds = []
    for _ in range(STARTS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]
