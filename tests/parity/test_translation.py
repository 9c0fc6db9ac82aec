"""The translator against stock fairseq: outputs, loss, gradients, optimizer, checkpoint and beam search."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from parity.record import Record, compared
from tongyeok.engine.translation import Architecture, UnitTranslator
from tongyeok.unit2unit.translator import read_pairs, translate_all
from tongyeok_fairseq import translation_model
from tongyeok_fairseq.translation_fast import UnitTransformer
from tongyeok_fairseq.translation_loss import UnitAdam, UnitCrossEntropy
from unit.unit2unit import toy_training, toy_units

LENGTHS = ((9, 4), (3, 12), (17, 7), (5, 5))
EPSILON = 0.1
UPDATES = 120


def _dictionary() -> Any:
    from fairseq.data import Dictionary

    dictionary = Dictionary()
    for unit in range(30):
        dictionary.add_symbol(str(unit))
    return dictionary


def _sample(dictionary: Any, *, tags: str) -> dict[str, Any]:
    """A batch of sentences of very different lengths, collated by fairseq as either convention of tags needs it."""
    from fairseq.data.language_pair_dataset import collate

    rng = np.random.default_rng(0)
    items = []
    for number, lengths in enumerate(LENGTHS):
        source, target = (
            torch.from_numpy(np.append(rng.integers(dictionary.nspecial, len(dictionary), length), dictionary.eos()))
            for length in lengths
        )
        items.append({"id": number, "source": source, "target": target})
    sample: dict[str, Any] = collate(items, dictionary.pad(), dictionary.eos() if tags == "prefix" else None)
    return sample


def _models(dictionary: Any, *, pre_norm: bool) -> tuple[Any, UnitTransformer]:
    """The stock model and ours with the same weights, large enough to matter, without dropout."""
    shape = toy_training.architecture() | {
        "dropout": 0.0,
        "pre_norm": pre_norm,
        "encoder_layers": 2,
        "decoder_layers": 2,
    }
    values = translation_model.arguments(Architecture(**shape), max_positions=64)  # type: ignore[arg-type]
    torch.manual_seed(0)
    stock = translation_model.build(values, dictionary)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    ours = UnitTransformer.build_model(Namespace(**values), task)
    ours.load_state_dict(stock.state_dict(), strict=True)
    return stock, ours


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")  # fairseq under torch 2.13
@pytest.mark.parametrize("tags", ["prefix", "utut"])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_outputs_loss_and_gradients_are_stock(*, pre_norm: bool, tags: str, record_property: Record) -> None:
    """Logits, label-smoothed loss and all gradients equal stock fairseq's within 1e-5 of their size."""
    from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion

    dictionary = _dictionary()
    sample = _sample(dictionary, tags=tags)
    stock, ours = _models(dictionary, pre_norm=pre_norm)
    task = SimpleNamespace(target_dictionary=dictionary)
    results = []
    for model, criterion in ((stock, LabelSmoothedCrossEntropyCriterion), (ours, UnitCrossEntropy)):
        loss, size, figures = criterion(task, sentence_avg=False, label_smoothing=EPSILON)(model, sample)
        loss.backward()
        results.append((loss.item(), size, figures))
    (stock_loss, stock_size, stock_figures), (our_loss, our_size, our_figures) = results

    with torch.no_grad():
        stock_logits = stock.eval()(**sample["net_input"])[0][sample["target"].ne(dictionary.pad())]
        our_logits, _ = ours.eval()(**sample["net_input"])
    largest = (stock_logits - our_logits).abs().max().item()
    gradients = [
        ((p.grad - q.grad).abs().max() / p.grad.abs().max()).item()
        for p, q in zip(stock.parameters(), ours.parameters(), strict=True)
        if p.grad is not None and p.grad.abs().max() > 1e-6
    ]
    loss = abs(stock_loss - our_loss) / stock_loss
    compared(
        record_property,
        tool="fairseq's `transformer` and `label_smoothed_cross_entropy`",
        source=f"the translator's training, layer norms {'before' if pre_norm else 'after'}, tags `{tags}`",
        result=f"largest difference of logits {largest:.1g}; relative: loss {loss:.1g}, gradients {max(gradients):.1g}",
    )
    assert largest < 1e-5
    assert our_loss == pytest.approx(stock_loss, rel=1e-5)
    assert our_figures["nll_loss"].item() == pytest.approx(stock_figures["nll_loss"].item(), rel=1e-5)
    assert (our_size, our_figures["ntokens"]) == (stock_size, stock_figures["ntokens"])
    assert max(gradients) < 1e-4


def test_optimizer_is_fairseqs_adam(record_property: Record) -> None:
    """After ten updates with weight decay all parameters equal those of fairseq's Adam within 1e-6."""
    from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
    from omegaconf import OmegaConf

    cfg = OmegaConf.structured(FairseqAdamConfig(lr=[0.01], weight_decay=0.1, adam_betas="(0.9, 0.98)", tpu=False))
    start = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    finished = []
    for optimizer_class in (FairseqAdam, UnitAdam):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = optimizer_class(cfg, [parameter])
        for step in range(10):
            parameter.grad = torch.randn(40, 3, generator=torch.Generator().manual_seed(step + 1))
            optimizer.step()
        finished.append(parameter.detach())
    largest = (finished[0] - finished[1]).abs().max().item()
    compared(
        record_property,
        tool="fairseq's Adam",
        source="the translator's optimizer, ten updates with weight decay",
        result=f"largest difference of parameters {largest:.1g}",
    )
    assert largest < 1e-6


@pytest.fixture(scope="module")
def bitext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bitext of the toy corpus."""
    return toy_units.build_bitext(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def trained(bitext: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator that has learned something."""
    root = tmp_path_factory.mktemp("trained")
    cfg = toy_training.config(validate_every=UPDATES, updates=UPDATES, tokens_per_batch=600)
    toy_training.run(bitext, root, cfg)
    return root / "out"


def test_stock_fairseq_generate_gives_our_hypotheses(bitext: Path, trained: Path, record_property: Record) -> None:
    """`fairseq-generate --prefix-size 1`, without this project, loads the checkpoint and finds the same units as we do.

    Our own door suppresses tags and `<s>`, which a trained model does not choose anyway.
    """
    words = ["fairseq-generate", str(bitext / "bin"), "--path", str(trained / "checkpoint.pt"), "--prefix-size", "1"]
    words += [
        "--beam",
        "3",
        "--max-len-a",
        "2",
        "--max-len-b",
        "50",
        "--gen-subset",
        "test",
        "--batch-size",
        "5",
        "--required-batch-size-multiple",
        "1",
        "--cpu",
    ]
    program = [sys.executable, "-c", "import sys; from fairseq_cli.generate import cli_main; cli_main()", *words[1:]]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(program, cwd=trained, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.startswith("H-")]
    stock = {int(fields[0][2:]): fields[2] for fields in lines}

    sources, targets = read_pairs(bitext, "test")
    tags = [target.split()[0] for target in targets]
    translator = UnitTranslator(trained / "checkpoint.pt", trained / "dict.txt", device="cpu")
    found = translate_all(translator, sources, tags, beam=3)
    ours = {row: " ".join([tags[row], *map(str, units)]) for row, units in enumerate(found)}
    different = [row for row in ours if ours[row] != stock[row]]
    compared(
        record_property,
        tool="`fairseq-generate --prefix-size 1`",
        source=f"translation of a toy bitext, beam 3, {len(ours)} sentences",
        result=f"hypotheses that differ: {len(different)}",
    )
    assert ours == stock
