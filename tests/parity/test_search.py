"""CTranslate2's beam search against fairseq's, on the same weights."""

from pathlib import Path

import numpy as np
import pytest

from parity.record import Record, compared
from tongyeok.engine.translation import Architecture
from tongyeok.unit2unit.translator import read_pairs
from tongyeok_fairseq.translation_generate import Translator
from unit.unit2unit import toy_training, toy_units

UPDATES = 120
GROUPS = {"train": 60, "valid": 3, "test": 30}
LIMITS = {"longest_per_token": 2.0, "longest_extra": 50, "batch_tokens": 100}


@pytest.mark.parametrize(("tags", "tag"), [("prefix", "<en>"), ("utut", "[en]")])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_both_searches_find_the_same(
    tmp_path: Path, record_property: Record, *, pre_norm: bool, tags: str, tag: str
) -> None:
    """For beams of 1, 3 and 5 and three length penalties, hypotheses are those of fairseq's search, unit for unit.

    CTranslate2 answers for most sentences itself; a limit that hypotheses reach leaves all of them to fairseq.
    """
    bitext = toy_units.build_bitext(tmp_path, tags=tags, directions=("ko-en",), groups=GROUPS)
    shape = Architecture(**(toy_training.architecture() | {"pre_norm": pre_norm}))  # type: ignore[arg-type]
    plan = {"updates": UPDATES, "tokens_per_batch": 600}
    toy_training.run(
        bitext, tmp_path, toy_training.config(validate_every=UPDATES, parts={"architecture": shape}, **plan)
    )
    translator = Translator(tmp_path / "out" / "checkpoint.pt", tmp_path / "out" / "dict.txt", device="cpu")
    sources, _ = read_pairs(bitext, "test")
    quick = translator._quick
    assert quick is not None
    answered = different = asked = 0
    for beam in (1, 3, 5):
        for penalty in (0.0, 1.0, 2.0):
            search = {"tag": tag, "beam": beam, "length_penalty": penalty, **LIMITS}
            ours = translator.translate(sources, **search)  # type: ignore[arg-type]
            symbols = [source.split() + ([] if tags == "utut" else ["</s>"]) for source in sources]
            alone = quick.search(
                symbols,
                form=translator._form(tag),
                beam=beam,
                length_penalty=penalty,
                longest=[50] * len(sources),
                batch_tokens=100,
            )
            translator._quick = None
            stock = translator.translate(sources, **search)  # type: ignore[arg-type]
            translator._quick = quick
            asked += len(sources)
            answered += sum(units is not None for units in alone)
            different += sum(not np.array_equal(one, other) for one, other in zip(ours, stock, strict=True))
    compared(
        record_property,
        tool="fairseq's `SequenceGenerator`",
        source=f"CTranslate2's beam search, layer norms {'before' if pre_norm else 'after'}, tags `{tags}`, "
        f"{asked} searches",
        result=f"hypotheses that differ: {different}; left to fairseq: {asked - answered}",
    )
    assert different == 0
    assert answered > asked / 2
    limits = {"form": translator._form(tag), "beam": 3, "length_penalty": 1.0, "batch_tokens": 100}
    assert quick.search(symbols, longest=[2] * len(sources), **limits) == [None] * len(sources)  # type: ignore[arg-type]
