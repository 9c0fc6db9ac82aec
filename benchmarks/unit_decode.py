"""Unit decoding with beam 5: a bitext's sentences by our door beside the loop of `fairseq-generate`, same checkpoint.

The model has the demo's size and is trained here for a moment, so that hypotheses have sensible lengths: sentences
count upwards in units and end before the next multiple of 67; a tenth of the source's units are others.
"""

from argparse import Namespace
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import yaml
from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.sequence_generator import SequenceGenerator
from paired import Row, compare
from probes import gemm_peak

from tongyeok import config
from tongyeok.base.products import fast_products
from tongyeok.engine.translation import UnitTranslator
from tongyeok.unit2unit.translator import TranslatorConfig
from tongyeok_fairseq import translation_fast, translation_loss, translation_model

UNITS, PERIOD = 201, 67
TRAINED, SENTENCES, TESTED = 150, 54, 120
SEARCH = {"beam": 5, "length_penalty": 1.0, "longest_per_token": 2.0, "longest_extra": 50, "batch_tokens": 4_000}
ROUNDS = 5


def rows() -> list[Row]:
    """Both ways on the same sentences; hypotheses must be equal but for one in a hundred."""
    sections = yaml.safe_load(Path("conf/translator/demo.yaml").read_text(encoding="utf-8"))
    shape = config.build(TranslatorConfig, sections, where="conf/translator/demo.yaml").architecture
    dictionary = Dictionary()
    for symbol in [*map(str, range(UNITS)), "<ko>", "<en>"]:
        dictionary.add_symbol(symbol)
    values = translation_model.arguments(shape, max_positions=1024)
    folder = Path(mkdtemp(prefix="tongyeok-bench-"))
    translation_model.write_checkpoint(
        folder / "checkpoint.pt", _train(values, dictionary).state_dict(), values, updates=TRAINED
    )
    dictionary.save(str(folder / "dict.txt"))
    sources = [source for source, _ in _sentences(TESTED, seed=2)]
    ours = UnitTranslator(folder / "checkpoint.pt", folder / "dict.txt", device="cpu")
    stock = translation_model.load_translation_model(folder / "checkpoint.pt", dictionary).eval()
    found = [" ".join(map(str, units)) for units in ours.translate(sources, tag="<en>", **SEARCH)]
    expected = generate(stock, dictionary, sources, tag="<en>")
    equal = sum(one == other for one, other in zip(found, expected, strict=True))
    if equal < 0.99 * TESTED:
        raise RuntimeError(f"only {equal} of {TESTED} hypotheses are fairseq's")
    flops = _flops(values, dictionary, sources, found)
    return [
        compare(
            "unit_decode",
            unit="target units",
            amount=(amount := sum(len(units.split()) for units in found)),
            ours=lambda: ours.translate(sources, tag="<en>", **SEARCH),
            stock=lambda: generate(stock, dictionary, sources, tag="<en>"),
            rounds=ROUNDS,
            parity=f"{equal} of {TESTED} hypotheses equal unit for unit",
            limit=lambda speed: (
                f"matrix products of {flops / amount / 1e6:.0f} MFLOP a target unit (beam of 5, encoder included); "
                f"ours does {speed * flops / amount / gemm_peak():.0%} of a large float32 product's peak"
            ),
        )
    ]


def _sentences(count: int, *, seed: int) -> list[tuple[str, str]]:
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        start = PERIOD * generator.integers(UNITS // PERIOD) + generator.integers(1, PERIOD - 30)
        target = np.arange(start, (start // PERIOD + 1) * PERIOD)
        source = np.where(generator.random(target.size) < 0.1, generator.integers(0, UNITS, target.size), target)
        pairs.append((f"<ko> {' '.join(map(str, source))}", f"<en> {' '.join(map(str, target))}"))
    return pairs


def _train(values: dict[str, Any], dictionary: Dictionary) -> Any:
    torch.manual_seed(0)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    model = translation_fast.UnitTransformer.build_model(Namespace(**values), task).train()
    criterion = translation_loss.UnitCrossEntropy(SimpleNamespace(target_dictionary=dictionary), False, 0.1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), fused=True)
    with fast_products():
        for update in range(TRAINED):
            optimiser.param_groups[0]["lr"] = 2e-3 * min((update + 1) / 30, 1 - update / TRAINED)
            pairs = _sentences(SENTENCES, seed=100 + update)
            sample = _collate(dictionary, [source for source, _ in pairs], [target for _, target in pairs])
            optimiser.zero_grad(set_to_none=True)
            loss, size, _ = criterion(model, sample)
            (loss / size).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
    return model


def _dataset(dictionary: Dictionary, sources: list[str], targets: list[str]) -> LanguagePairDataset:
    sides = [
        [dictionary.encode_line(text, add_if_not_exist=False).long() for text in side] for side in (sources, targets)
    ]
    sizes = [[len(tokens) for tokens in side] for side in sides]
    return LanguagePairDataset(sides[0], sizes[0], dictionary, sides[1], sizes[1], dictionary, shuffle=False)


def _collate(dictionary: Dictionary, sources: list[str], targets: list[str]) -> dict[str, Any]:
    data = _dataset(dictionary, sources, targets)
    return data.collater([data[index] for index in range(len(data))])


def generate(model: Any, dictionary: Dictionary, sources: list[str], *, tag: str) -> list[str]:
    """What `fairseq_cli.generate` does with `--prefix-size 1`, without reading files and printing.

    Its batches: sorted by length, `--max-tokens` as ours. With `--required-batch-size-multiple` 8, the default, fewer
    than eight sentences would get no batch at all, so it is 1.
    """
    data = _dataset(dictionary, sources, [tag] * len(sources))
    batches = data.batch_by_size(
        data.ordered_indices(), max_tokens=SEARCH["batch_tokens"], required_batch_size_multiple=1
    )
    generator = SequenceGenerator(
        [model],
        dictionary,
        beam_size=SEARCH["beam"],
        len_penalty=SEARCH["length_penalty"],
        max_len_a=SEARCH["longest_per_token"],
        max_len_b=SEARCH["longest_extra"],
    )
    found = [""] * len(sources)
    for batch in batches:
        sample = data.collater([data[index] for index in batch])
        ranked = generator.generate([model], sample, prefix_tokens=sample["target"][:, :1])
        for index, hypotheses in zip(sample["id"].tolist(), ranked, strict=True):
            found[index] = dictionary.string(hypotheses[0]["tokens"][1:])
    return found


def _flops(values: dict[str, Any], dictionary: Dictionary, sources: list[str], found: list[str]) -> float:
    """Floating-point operations of the search: two a weight of each product, attention's own left out."""
    width, inner = values["encoder_embed_dim"], values["encoder_ffn_embed_dim"]
    layer = 4 * width**2 + 2 * width * inner
    decoder = values["decoder_layers"] * (layer + 2 * width**2) + width * len(dictionary)
    encoder = values["encoder_layers"] * layer + values["decoder_layers"] * 2 * width**2
    steps = sum(len(units.split()) + 1 for units in found)
    tokens = sum(len(source.split()) + 1 for source in sources)
    return 2.0 * (SEARCH["beam"] * steps * decoder + tokens * encoder)
