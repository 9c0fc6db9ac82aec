"""HuBERT's pre-training step for less: fairseq's model, its parameters and checkpoints, the same loss.

fairseq (`models/hubert/hubert.py: compute_nce, compute_pred`) expands every label embedding to (classes + 1, frames,
dim) before taking cosines, for unmasked frames too, even where their weight is 0. The cosines of all frames with all
classes are the product of two normalised matrices; cross-entropy against the label's own column is the same number.
The one difference: fairseq leaves classes whose embedding equals the label's bit for bit out of the sum; none do.
On CPUs, convolutions and Transformer are computed in another order too (`hubert_convolutions`, `hubert_encoder`).
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.data.data_utils import compute_mask_indices
from fairseq.models import register_model
from fairseq.models.hubert.hubert import HubertConfig, HubertModel
from fairseq.modules import GradMultiply
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from tongyeok.base.products import Products, autocast
from tongyeok_fairseq import muon
from tongyeok_fairseq.hubert_convolutions import convolutions_suit, convolve
from tongyeok_fairseq.hubert_encoder import encode, encoder_suits

NAME = "tongyeok_hubert"
COSINE_EPSILON = 1e-8  # torch.cosine_similarity's, as the reference uses it


@dataclass
class TongyeokHubertConfig(HubertConfig):  # type: ignore[misc]
    """fairseq's configuration; `skip_nomask: true` leaves unmasked frames out of the loss."""

    products: str = field(default="float32", metadata={"help": "number format of products: float32 or bfloat16"})


@register_model(NAME, dataclass=TongyeokHubertConfig)
class TongyeokHubertModel(HubertModel):  # type: ignore[misc]
    """fairseq's HuBERT, state-dict keys and all; only pre-training's forward pass differs."""

    products: Products = "float32"

    @classmethod
    def build_model(cls, cfg: TongyeokHubertConfig, task: Any) -> "TongyeokHubertModel":  # noqa: ANN401
        """Build a new model for a task."""
        model = cls(cfg, task.cfg, task.dictionaries)
        model.products = cfg.products
        muon.mark(model.encoder.layers)
        return model

    def apply_mask(
        self,
        x: Float[Tensor, "batch frames width"],
        padding_mask: Bool[Tensor, "batch frames"] | None,
        target_list: list[Tensor] | None,  # noqa: ARG002  fairseq's signature
    ) -> tuple[Float[Tensor, "batch frames width"], Bool[Tensor, "batch frames"] | None]:
        """Replace random spans by the mask embedding.

        fairseq draws spans from the operating system's entropy, so that no run repeats, and trims every clip to the
        fewest masked frames of the batch. Here they follow torch's generator, which the trainer seeds at every update,
        and every clip keeps its own share.
        """
        assert self.mask_channel_prob == 0, "channel masking belongs to fine-tuning"
        if self.mask_prob <= 0:
            return x, None
        spans = compute_mask_indices(
            (x.size(0), x.size(1)),
            padding_mask,
            self.mask_prob,
            self.mask_length,
            self.mask_selection,
            self.mask_other,
            min_masks=2,
            no_overlap=self.no_mask_overlap,
            min_space=self.mask_min_space,
            require_same_masks=False,
            seed=int(torch.randint(2**31, ())),
            epoch=0,
            indices=torch.arange(x.size(0)),
        )
        mask = torch.from_numpy(spans).to(x.device)
        return torch.where(mask.unsqueeze(-1), self.mask_emb.to(x.dtype), x), mask

    def class_logits(self, x: Float[Tensor, "picked width"]) -> list[Float[Tensor, "picked classes"]]:
        """Cosine of every frame with every class of each label set, over the temperature."""
        projected = self.final_proj(x)
        sets = len(self.num_classes)
        frames = projected.chunk(sets, dim=-1) if self.untie_final_proj else [projected] * sets
        logits = []
        for frame, table in zip(frames, self.label_embs_concat.split(self.num_classes, 0), strict=True):
            classes = self.target_glu(table) if self.target_glu else table
            frame_unit = functional.normalize(frame.float(), dim=-1, eps=COSINE_EPSILON)
            class_unit = functional.normalize(classes.float(), dim=-1, eps=COSINE_EPSILON)
            logits.append(frame_unit @ class_unit.T / self.logit_temp)
        return logits

    def forward(  # noqa: PLR0917  fairseq's signature
        self,
        source: Float[Tensor, "batch samples"],
        target_list: list[Int[Tensor, "batch labels"]] | None = None,
        padding_mask: Bool[Tensor, "batch samples"] | None = None,
        mask: bool = True,
        features_only: bool = False,
        output_layer: int | None = None,
    ) -> dict[str, Any]:
        """Features as fairseq's model gives them, or, given labels, logits and labels of the frames that count."""
        if features_only or target_list is None:
            output: dict[str, Any] = super().forward(
                source, target_list, padding_mask, mask=mask, features_only=features_only, output_layer=output_layer
            )
            return output
        with autocast(source.device, self.products):
            features, target_list = self.forward_targets(self._convolve(source), target_list)
            penalty = features.float().pow(2).mean()
            features = self.layer_norm(features.transpose(1, 2))
            if padding_mask is None:
                padding_mask = source.new_zeros(source.shape, dtype=torch.bool)
            padding_mask = self.forward_padding_mask(features, padding_mask)
            if self.post_extract_proj is not None:
                features = self.post_extract_proj(features)
            x, masked = self.apply_mask(self.dropout_input(features), padding_mask, target_list)
            if masked is None:
                masked = torch.zeros_like(padding_mask)
            x = self._encode(x, padding_mask)
        x = x.float()
        result = {"features_pen": penalty, "padding_mask": padding_mask}
        for kind, wanted, skipped in (("m", masked, self.skip_masked), ("u", ~masked, self.skip_nomask)):
            picked = wanted & ~padding_mask
            result[f"logit_{kind}_list"] = [] if skipped else self.class_logits(x[picked])
            result[f"target_{kind}_list"] = [] if skipped else [labels[picked] for labels in target_list]
        return result

    def _convolve(self, source: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch channels frames"]:
        """Output of the convolutions, gradients into them scaled as configured."""
        if source.device.type != "cpu" or self.feature_grad_mult == 0 or not convolutions_suit(self.feature_extractor):
            features: Tensor = self.forward_features(source)
            return features
        features = convolve(self.feature_extractor, source)
        return features if self.feature_grad_mult == 1 else GradMultiply.apply(features, self.feature_grad_mult)

    def _encode(
        self, x: Float[Tensor, "batch frames width"], padding: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Output of the Transformer."""
        if x.device.type != "cpu" or not encoder_suits(self.encoder):
            encoded: Tensor = self.encoder(x, padding_mask=padding)[0]
            return encoded
        return encode(self.encoder, x, padding)

    def get_targets(self, net_output: dict[str, Any], is_masked: bool = True) -> list[Tensor]:
        """Labels of the frames that `get_logits` speaks of."""
        targets: list[Tensor] = net_output["target_m_list" if is_masked else "target_u_list"]
        return targets
