"""One layer of a HuBERT checkpoint as features; source: fairseq's `HubertFeatureReader`s, which this equals.

What the wanted layer does not need is neither built nor loaded: layers above it, projections, label embeddings.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from fairseq.models.hubert.hubert import HubertConfig, HubertModel
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig
from jaxtyping import Bool, Float
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn import functional

from tongyeok.base.audio import SAMPLE_RATE, UNIT_HOP
from tongyeok.errors import CheckpointError
from tongyeok_fairseq.hubert_clip import ClipEncoder, is_known
from tongyeok_fairseq.safety import ConvLayers, load_checkpoint, parse_conv_layers

CHUNK_FRAMES = 5000  # 100 s, the reference's `max_chunk`


class Encoder:
    """A HuBERT up to one layer, in evaluation mode."""

    def __init__(self, checkpoint: Path, *, layer: int, device: str) -> None:
        """Load `checkpoint` up to the 1-based `layer`.

        Raises:
            CheckpointError: not a HuBERT, unsafe, with fewer layers, or with another hop than 320 samples.
        """
        state = load_checkpoint(checkpoint)
        self.model, self.normalize = _build(state, layer=layer, path=checkpoint)
        self.model.to(device).eval().requires_grad_(requires_grad=False)
        self.device, self.layer = device, layer
        self.conv = parse_conv_layers(_section(state, "model")["conv_feature_layers"])
        self.field, hop = receptive_field(self.conv)
        if hop != UNIT_HOP or (self.field - hop) % 2:
            raise CheckpointError(f"{checkpoint}: expected a hop of {UNIT_HOP} samples, its convolutions have {hop}")
        on_cpu = device == "cpu" and is_known(self.model)
        self._clip = ClipEncoder(self.model, field=self.field, hop=hop) if on_cpu else None

    @property
    def width(self) -> int:
        """Dimensions of a frame."""
        return int(self.model.mask_emb.numel())

    @torch.inference_mode()
    def frames(self, clips: Sequence[Float[np.ndarray, " samples"]]) -> list[Float[np.ndarray, "frames width"]]:
        """Features of clips that are taken together, exactly samples // 320 frames each.

        Each clip is padded so that frame i is centred on samples 320 i … 320 i + 320. Within the batch, statistics over
        time and attention see each clip's own frames only.
        """
        margin = (self.field - UNIT_HOP) // 2
        lengths = [clip.size + 2 * margin for clip in clips]
        batch = torch.zeros(len(clips), max(lengths))
        for row, clip in zip(batch, clips, strict=True):
            row[margin : margin + clip.size] = self._wave(clip)
        found = self._encode(batch.to(self.device), lengths).cpu().numpy()
        counts = [clip.size // UNIT_HOP for clip in clips]
        return [np.ascontiguousarray(rows[:count]) for rows, count in zip(found, counts, strict=True)]

    @torch.inference_mode()
    def unpadded_frames(self, clip: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "frames width"]:
        """Features of one clip without padding, as the reference reads it: mostly a frame fewer than samples // 320."""
        wave = self._wave(clip)[None].to(self.device)
        return cast("np.ndarray", self._encode(wave, [clip.size])[0].cpu().numpy())

    def _wave(self, clip: Float[np.ndarray, " samples"]) -> Float[Tensor, " samples"]:
        wave = torch.from_numpy(np.array(clip, dtype=np.float32))
        return functional.layer_norm(wave, wave.shape) if self.normalize else wave

    def _encode(
        self, batch: Float[Tensor, "clips samples"], lengths: Sequence[int]
    ) -> Float[Tensor, "clips frames width"]:
        if self._clip is not None and len(lengths) == 1:
            return self._clip(batch[0])[None]
        model = self.model
        alone = len(set(lengths)) == 1
        features = model.feature_extractor(batch) if alone else self._convolve(batch, lengths)
        features = model.layer_norm(features.transpose(1, 2))
        if model.post_extract_proj is not None:
            features = model.post_extract_proj(features)
        counts = [(length - self.field) // UNIT_HOP + 1 for length in lengths]
        padding = None if alone else _beyond(counts, features.size(1), batch.device)
        encoded: Tensor = model.encoder(features, padding_mask=padding, layer=self.layer - 1)[0]
        return encoded

    def _convolve(self, batch: Tensor, lengths: Sequence[int]) -> Float[Tensor, "clips width frames"]:
        """The convolutions with the first one's statistics over time taken over each clip's own frames."""
        first, *others = self.model.feature_extractor.conv_layers
        norm = first[2]
        x = first[0](batch.unsqueeze(1))
        if isinstance(norm, torch.nn.GroupNorm):
            _, kernel, stride = self.conv[0]
            own = [(length - kernel) // stride + 1 for length in lengths]
            valid = (~_beyond(own, x.size(2), x.device)).unsqueeze(1)
            number = valid.sum(dim=2, keepdim=True)
            mean = (x * valid).sum(dim=2, keepdim=True) / number
            variance = ((x - mean).square() * valid).sum(dim=2, keepdim=True) / number
            x = (x - mean) * torch.rsqrt(variance + norm.eps)
            x = x * norm.weight[:, None] + norm.bias[:, None]
        else:
            x = norm(x)
        x = first[3](x)
        for layer in others:
            x = layer(x)
        return x


def receptive_field(layers: ConvLayers) -> tuple[int, int]:
    """Samples that one frame sees, and samples from one frame to the next."""
    field, hop = 1, 1
    for _, kernel, stride in layers:
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop


def _beyond(counts: Sequence[int], longest: int, device: torch.device) -> Bool[Tensor, "clips frames"]:
    return torch.arange(longest, device=device)[None] >= torch.tensor(counts, device=device)[:, None]


def _section(state: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of a checkpoint's configuration as a plain mapping; older checkpoints have one flat namespace."""
    if state.get("cfg") is not None:
        cfg = state["cfg"]
        plain = OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg
        return dict(plain.get(name) or {})
    return vars(state["args"]) if state.get("args") is not None else {}


def _build(state: dict[str, Any], *, layer: int, path: Path) -> tuple[HubertModel, bool]:
    stored, task = _section(state, "model"), _section(state, "task")
    if "conv_feature_layers" not in stored or not any(key.startswith("encoder.layers.") for key in state["model"]):
        raise CheckpointError(f"{path}: expected a HuBERT checkpoint of fairseq, got model {stored.get('_name')!r}")
    layers = 1 + max(int(key.split(".")[2]) for key in state["model"] if key.startswith("encoder.layers."))
    if not 1 <= layer <= layers:
        raise CheckpointError(f"{path}: layer {layer} is wanted (1-based), the model has {layers}; correct `layer`")
    if task.get("sample_rate", SAMPLE_RATE) != SAMPLE_RATE:
        raise CheckpointError(f"{path}: expected a model of {SAMPLE_RATE} Hz audio, got {task['sample_rate']} Hz")
    known = {key: value for key, value in stored.items() if key in HubertConfig.__dataclass_fields__}
    cfg = OmegaConf.merge(OmegaConf.structured(HubertConfig), {**known, "label_rate": 50.0, "encoder_layers": layer})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        model = HubertModel(cfg, HubertPretrainingConfig(sample_rate=SAMPLE_RATE), [None])
    model.remove_pretraining_modules()
    wanted = model.state_dict()
    missing = sorted(set(wanted) - set(state["model"]))
    if missing:
        raise CheckpointError(
            f"{path}: not a HuBERT that fairseq 0.12 knows; parameters missing: {', '.join(missing[:3])}"
        )
    model.load_state_dict({key: state["model"][key].float() for key in wanted})
    for module in model.encoder.pos_conv.modules():
        if hasattr(module, "weight_g"):
            torch.nn.utils.remove_weight_norm(module)  # else every pass works the same weight out again
    return model, bool(task.get("normalize", False))
