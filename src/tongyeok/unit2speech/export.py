"""One language of a HiFi-GAN vocoder as the checkpoint and JSON of fairseq's `CodeHiFiGANVocoder`.

fairseq's model has no languages: the language's vector moves into the biases that it is added to, exactly. Units that
repeat must be de-duplicated before fairseq predicts durations, which it does not do itself.
"""

import copy
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tongyeok.base.files import whole, write_json
from tongyeok.errors import CheckpointError
from tongyeok.unit2speech.hifigan import HifiganConfig, HifiganGenerator
from tongyeok.unit2speech.reference_config import reference_of
from tongyeok.unit2speech.synthesis import UnitVocoder

CHECKPOINT = "model.pt"  # these two names are the ones that fairseq's `from_pretrained` looks for
JSON = "config.json"
SPEAKER_KEYS = {"multispkr", "embedder_params", "embedder_dim"}
RENAMED = (
    ("conditioning.unit.", "dict."),
    ("conditioning.speaker.", "spkr."),
    ("durations.conv1.", "dur_predictor.conv1.0."),
    ("durations.conv2.", "dur_predictor.conv2.0."),
    ("durations.", "dur_predictor."),
    ("parametrizations.weight.original0", "weight_g"),
    ("parametrizations.weight.original1", "weight_v"),
)

DVector = Float[np.ndarray, " dimensions"]


def export(vocoder: UnitVocoder, *, lang: str, outputs: Path, voice: DVector | None = None) -> None:
    """Write `model.pt` and `config.json` for one language, the same bytes for the same vocoder.

    Args:
        vocoder: one whose head is `hifigan`.
        lang: ISO 639 code of the language.
        outputs: folder to write into.
        voice: d-vector of the only voice to speak in; without it, the model takes a d-vector with every sentence, which
            AV2AV's code can give it, but not fairseq's script `generate_waveform_from_code.py`.

    Raises:
        CheckpointError: the vocoder has another head, or does not speak the language.
    """
    cfg, generator = vocoder.cfg, vocoder.generator
    if not isinstance(cfg, HifiganConfig) or not isinstance(generator, HifiganGenerator):
        raise CheckpointError(
            f"expected a vocoder with head hifigan, got {cfg.head}: fairseq has no such model; train one after "
            "`tongyeok params vocoder=paper`, or vocoder=hifigan for a small one"
        )
    if lang not in vocoder.languages:
        raise CheckpointError(
            f"this vocoder speaks {', '.join(vocoder.languages)}, not {lang!r}; train it with that language"
        )
    state = fairseq_state(generator, language=vocoder.languages.index(lang))
    reference = reference_of(cfg, clusters=vocoder.source.clusters)
    if voice is not None:
        state, reference = with_one_voice(state, voice), reference_of_one_voice(reference)
    buffer = io.BytesIO()
    torch.save({"generator": state}, buffer)
    with whole(outputs / CHECKPOINT) as partial:
        partial.write_bytes(buffer.getvalue())
    origin = {"language": lang, "source": asdict(vocoder.source)}
    write_json(outputs / JSON, {**reference, "tongyeok": origin})


def fairseq_state(generator: HifiganGenerator, *, language: int) -> dict[str, Tensor]:
    """The weights of fairseq's `CodeGenerator` that speaks like `generator` in one of its languages."""
    folded = copy.deepcopy(generator).cpu()
    folded.fold_language(language)
    state = {}
    for name, tensor in folded.state_dict().items():
        if name in {"conditioning.language.weight", "durations.language.weight"}:
            continue
        theirs = name
        for ours, reference in RENAMED:
            theirs = theirs.replace(ours, reference)
        state[theirs] = tensor.detach().contiguous().clone()
    return state


def with_one_voice(state: Mapping[str, Tensor], voice: DVector) -> dict[str, Tensor]:
    """The same weights without a speaker input: the voice stands beside every unit's embedding.

    The duration predictor, which heard the unit's embedding alone, gives the voice no weight.
    """
    units, conv1 = state["dict.weight"], state["dur_predictor.conv1.0.weight"]
    spoken = state["spkr.weight"] @ torch.from_numpy(voice.astype(np.float32)) + state["spkr.bias"]
    changed = {
        "dict.weight": torch.cat([units, spoken.expand(len(units), -1)], dim=1),
        "dur_predictor.conv1.0.weight": torch.nn.functional.pad(conv1, [0, 0, 0, len(spoken)]),
    }
    return {name: changed.get(name, tensor) for name, tensor in state.items() if not name.startswith("spkr.")}


def reference_of_one_voice(reference: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON that goes with `with_one_voice`."""
    width = reference["model_in_dim"]
    without = {key: value for key, value in reference.items() if key not in SPEAKER_KEYS}
    durations = {**reference["dur_predictor_params"], "encoder_embed_dim": width}
    return {**without, "embedding_dim": width, "dur_predictor_params": durations}
