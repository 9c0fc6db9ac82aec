"""The duration predictor and the conditioning are those of fairseq's unit HiFi-GAN (`CodeGenerator`)."""

import importlib
from argparse import Namespace

import pytest
import torch

from parity.record import Record, compared
from tongyeok.unit2speech.durations import DurationPredictor, to_frames
from tongyeok.unit2speech.generator import Conditioning


def test_predictor_is_fairseqs(record_property: Record) -> None:
    """With the same weights, log-durations and frames equal fairseq's `VariancePredictor`, to 1e-6."""
    importlib.import_module("tongyeok_fairseq")
    from fairseq.models.text_to_speech.fastspeech2 import VariancePredictor

    settings = Namespace(encoder_embed_dim=128, var_pred_hidden_dim=128, var_pred_kernel_size=3, var_pred_dropout=0.5)
    theirs, ours = VariancePredictor(settings).eval(), DurationPredictor(channels=128, languages=2, dropout=0.5).eval()
    state = {name.replace(".0.", "."): weight for name, weight in theirs.state_dict().items()}
    ours.load_state_dict(state | {"language.weight": torch.zeros(2, 128)})
    embeddings = torch.randn(3, 17, 128, generator=torch.Generator().manual_seed(1)) * 3
    expected = theirs(embeddings)
    made = ours(embeddings, torch.tensor([0, 1, 0]))
    difference = (made - expected).abs().max()
    compared(
        record_property,
        tool="fairseq's `VariancePredictor`",
        source="17 embeddings three times, the same weights",
        result=f"log-durations equal to {difference:.1e}, frames equal",
    )
    assert difference < 1e-6, f"largest difference {difference}"
    assert torch.equal(to_frames(made), torch.clamp(torch.round(torch.exp(expected) - 1).long(), min=1))


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")  # fairseq 0.12
def test_folded_conditioning_is_fairseqs(record_property: Record) -> None:
    """Folded to one language, what the generator speaks from is fairseq's: units beside Linear(d-vector), to 1e-6."""
    importlib.import_module("tongyeok_fairseq")
    from fairseq.models.text_to_speech.codehifigan import CodeGenerator

    cfg = {
        "num_embeddings": 10, "embedding_dim": 128, "multispkr": "from_input_file",
        "embedder_params": {"any": 1}, "model_in_dim": 256, "upsample_rates": [5, 4, 4, 2, 2],
        "upsample_kernel_sizes": [11, 8, 8, 4, 4], "upsample_initial_channel": 32, "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
    }  # fmt: skip
    theirs, ours = CodeGenerator(cfg), Conditioning(clusters=10, languages=2)
    torch.nn.init.normal_(ours.language.weight)
    units, dvector = torch.tensor([[1, 2, 2, 9]]), torch.rand(1, 256)
    made = ours(units, dvector, torch.tensor([1]))
    ours.fold(1)
    theirs.dict.load_state_dict(ours.unit.state_dict())
    theirs.spkr.load_state_dict(ours.speaker.state_dict())
    seen = []
    theirs.conv_pre.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    theirs(code=units, spkr=dvector[:, None])
    difference = (made.transpose(1, 2) - seen[0]).abs().max()
    compared(
        record_property,
        tool="fairseq's `CodeGenerator`",
        source="units and a d-vector, folded to one language",
        result=f"what it speaks from equal to {difference:.1e}",
    )
    assert difference < 1e-6, f"largest difference {difference}"
