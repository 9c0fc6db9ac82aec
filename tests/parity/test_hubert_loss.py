"""HuBERT's loss as a matrix product equals fairseq's, in value, gradient and everything it logs."""

import importlib
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from parity.record import Record, compared

TOLERANCE = 1e-4  # relative, float32
CLASSES = 50
FRAMES = 49  # of 16,000 samples without padding


def _build(name: str, *, label_rate: int, skip_nomask: bool, weights: tuple[float, float], untie: bool) -> Any:
    """A tiny model and criterion: fairseq's own (`hubert`) or this project's (`tongyeok_hubert`)."""
    importlib.import_module("tongyeok_fairseq")
    from fairseq import tasks
    from fairseq.criterions import CRITERION_REGISTRY
    from fairseq.data import Dictionary
    from fairseq.models import MODEL_DATACLASS_REGISTRY, MODEL_REGISTRY
    from omegaconf import OmegaConf

    dictionary = Dictionary()
    for label in range(CLASSES):
        dictionary.add_symbol(str(label), n=1)
    cfg = MODEL_DATACLASS_REGISTRY[name](
        label_rate=float(label_rate),
        encoder_layers=2,
        encoder_embed_dim=32,
        encoder_ffn_embed_dim=64,
        encoder_attention_heads=2,
        final_dim=16,
        conv_feature_layers="[(16,20,10)] + [(16,3,2)] * 3 + [(24,2,2)] * 2",
        conv_pos=16,
        conv_pos_groups=4,
        dropout=0.0,
        attention_dropout=0.0,
        encoder_layerdrop=0.0,
        untie_final_proj=untie,
        skip_nomask=skip_nomask,
    )
    task_cfg = tasks.hubert_pretraining.HubertPretrainingConfig(label_rate=float(label_rate))
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.nn\.utils\.weight_norm` is deprecated")
        model = MODEL_REGISTRY[name](OmegaConf.structured(cfg), task_cfg, [dictionary])
    criterion = CRITERION_REGISTRY[name](None, *weights, loss_weights=[10.0], log_keys=[])
    return model, criterion


def _sample(label_rate: int) -> tuple[dict, Tensor]:
    """Three clips of different lengths, and a mask over their frames."""
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(3, 16_000, generator=generator)
    padding = torch.zeros(3, 16_000, dtype=torch.bool)
    for row, length in enumerate((16_000, 14_000, 9_000)):
        source[row, length:] = 0
        padding[row, length:] = True
    labels = torch.randint(4, 4 + CLASSES, (3, label_rate), generator=generator)
    mask = torch.rand(3, FRAMES, generator=generator) < 0.5
    sample = {
        "id": torch.arange(3),
        "net_input": {"source": source, "padding_mask": padding},
        "target_list": [labels],
    }
    return sample, mask


def _backward(model: Any, criterion: Any, sample: dict, mask: Tensor) -> tuple[float, int, dict, dict[str, Tensor]]:
    def apply_mask(x: Tensor, padding_mask: Tensor, target_list: list[Tensor]) -> tuple[Tensor, Tensor]:  # noqa: ARG001
        return torch.where(mask.unsqueeze(-1), model.mask_emb, x), mask

    model.apply_mask = apply_mask
    loss, size, log = criterion(model, sample)
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return float(loss.detach()), size, log, gradients


@pytest.mark.parametrize("label_rate", [50, 100])
@pytest.mark.parametrize(
    ("weights", "skip_nomask", "untie"),
    [((1.0, 0.0), False, True), ((1.0, 0.0), True, False), ((1.0, 0.7), False, True), ((0.0, 1.0), False, False)],
)
def test_loss_and_gradients_equal_fairseqs(
    label_rate: int, weights: tuple[float, float], skip_nomask: bool, untie: bool, record_property: Record
) -> None:
    """Loss, denominator, logged figures and every parameter's gradient are stock fairseq's to 1e-4 relative."""
    sample, mask = _sample(label_rate)
    options = {"label_rate": label_rate, "skip_nomask": skip_nomask, "weights": weights, "untie": untie}
    stock, stock_criterion = _build("hubert", **options)
    ours, our_criterion = _build("tongyeok_hubert", **options)
    ours.load_state_dict(stock.state_dict())

    stock_loss, expected_size, expected_log, expected_gradients = _backward(stock, stock_criterion, sample, mask)
    found, size, log, gradients = _backward(ours, our_criterion, sample, mask)

    assert size == expected_size
    loss_error = abs(found - stock_loss) / abs(stock_loss)
    assert set(gradients) == set(expected_gradients)
    floor = 1e-6 * max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    worst = max(
        (float((gradients[name] - expected).abs().max()) / max(float(expected.abs().max()), floor), name)
        for name, expected in expected_gradients.items()
    )
    compared(
        record_property,
        tool="fairseq's HuBERT and criterion",
        source=f"loss and gradients, labels {label_rate} a second, weights {weights}, `skip_nomask` {skip_nomask}",
        result=f"loss {loss_error:.1e} relative, gradient at most {worst[0]:.1e} of its parameter's largest",
    )
    assert loss_error < TOLERANCE, f"loss {found} against fairseq's {stock_loss}: relative difference {loss_error:.2e}"
    assert worst[0] < TOLERANCE, f"largest gradient difference {worst[0]:.2e} of {worst[1]}'s largest gradient"
    assert set(log) == set(expected_log)
    for key, value in expected_log.items():
        assert float(log[key]) == pytest.approx(float(value), rel=TOLERANCE), key


def test_bfloat16_products_change_the_loss_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 products move loss and gradients a little; parameters and gradients stay float32."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    sample, mask = _sample(50)
    options = {"label_rate": 50, "skip_nomask": False, "weights": (1.0, 0.7), "untie": True}
    exact, criterion = _build("tongyeok_hubert", **options)
    rounded, _ = _build("tongyeok_hubert", **options)
    rounded.products = "bfloat16"

    exact_loss, _, _, exact_gradients = _backward(exact, criterion, sample, mask)
    loss, _, _, gradients = _backward(rounded, criterion, sample, mask)

    assert loss != exact_loss
    assert loss == pytest.approx(exact_loss, rel=2**-8)  # half a unit in bfloat16's last place
    assert {value.dtype for value in (*gradients.values(), *rounded.parameters())} == {torch.float32}
    flat, exact_flat = (
        torch.cat([found[name].flatten() for name in exact_gradients]) for found in (gradients, exact_gradients)
    )
    assert float(torch.cosine_similarity(flat, exact_flat, dim=0)) > 0.99


def test_a_checkpoint_of_ours_has_fairseqs_parameters() -> None:
    """Parameter names and shapes are those of fairseq's HuBERT, so that either loads the other's checkpoints."""
    options = {"label_rate": 50, "skip_nomask": True, "weights": (1.0, 0.0), "untie": True}
    stock, _ = _build("hubert", **options)
    ours, _ = _build("tongyeok_hubert", **options)
    shapes = {name: value.shape for name, value in stock.state_dict().items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == shapes
