"""Hear with a finished recogniser: one clip in, the symbols of its most likely path out."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import OmegaConf
from torch.nn import functional

from tongyeok.errors import CheckpointError
from tongyeok_fairseq.hubert_features import receptive_field
from tongyeok_fairseq.recognizer_model import NAME, TongyeokRecognizer, TongyeokRecognizerConfig
from tongyeok_fairseq.recognizer_task import collapse
from tongyeok_fairseq.safety import load_checkpoint, parse_conv_layers


class Decoder:
    """A recogniser in evaluation mode, with nothing that remembers between clips."""

    def __init__(self, checkpoint: Path, *, device: str) -> None:
        """Load a checkpoint of the stage `recognizer` without running code from it.

        Raises:
            CheckpointError: missing, unsafe, or no recogniser.
        """
        state = load_checkpoint(checkpoint)
        stored = (state.get("cfg") or {}).get("model") or {}
        dictionary = (state.get("task_state") or {}).get("target_dictionary")
        if stored.get("_name") != NAME or dictionary is None:
            raise CheckpointError(
                f"{checkpoint}: expected a checkpoint of the stage `recognizer`, got model {stored.get('_name')!r}"
            )
        self.dictionary, self.device = dictionary, device
        known = {key: value for key, value in stored.items() if key in TongyeokRecognizerConfig.__dataclass_fields__}
        cfg = OmegaConf.merge(OmegaConf.structured(TongyeokRecognizerConfig), {**known, "no_pretrained_weights": True})
        self.normalize = bool(cfg.w2v_args["task"]["normalize"])
        self.field, _ = receptive_field(parse_conv_layers(cfg.w2v_args["model"]["conv_feature_layers"]))
        self.model = TongyeokRecognizer.build_model(cfg, SimpleNamespace(target_dictionary=dictionary))
        self.model.load_state_dict(state["model"])
        self.model.to(device).eval().requires_grad_(requires_grad=False)

    @torch.inference_mode()
    def logits(self, clip: Float[np.ndarray, " samples"]) -> Float[torch.Tensor, "frames letters"]:
        """Scores of every symbol in every frame, the blank (`<s>`) being the first."""
        wave = torch.from_numpy(np.array(clip, dtype=np.float32)).to(self.device)
        if self.normalize:
            wave = functional.layer_norm(wave, wave.shape)
        output = self.model(source=wave[None], padding_mask=None)
        scores: torch.Tensor = output["encoder_out"][:, 0]
        return scores

    def hear(self, clip: Float[np.ndarray, " samples"]) -> list[str]:
        """Symbols of a clip; none where it is shorter than one frame. Special symbols are never heard."""
        if clip.size < self.field:
            return []
        letters = collapse(self.logits(clip).argmax(-1).cpu(), blank=self.dictionary.bos())
        return [self.dictionary[letter] for letter in letters if letter >= self.dictionary.nspecial]
