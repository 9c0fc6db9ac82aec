"""Masked spans and pairs that end in tags."""

import numpy as np
import pytest
import torch

from tongyeok.engine.translation import Masking
from tongyeok_fairseq.translation_task import TaggedPairs, draw_spans, mask_spans

MASK = 99
MASKING = Masking(share=0.3, span_mean=10.0)


def test_spans_are_replaced_unit_by_unit() -> None:
    """Each token of a span becomes a mask; spans overlap, stop before the last token, and the input stays."""
    tokens = torch.arange(10)
    found = mask_spans(tokens, np.array([1, 2, 7]), np.array([2, 3, 9]), mask=MASK)
    assert found.tolist() == [0, MASK, MASK, MASK, MASK, 5, 6, MASK, MASK, 9]
    assert tokens.tolist() == list(range(10))


@pytest.mark.parametrize("length", [3, 4, 12, 103])
@pytest.mark.parametrize("masking", [MASKING, Masking(share=0.9, span_mean=1.0)])
def test_drawn_spans_add_up_to_the_share(length: int, masking: Masking) -> None:
    """Lengths sum to the share of the tokens between first and last, rounded up; starts differ and lie between them."""
    for seed in range(50):
        starts, lengths = draw_spans(length, masking, np.random.default_rng(seed))
        assert -1e-5 < lengths.sum() - (length - 2) * masking.share < 1
        assert lengths.min() >= 1
        assert len(set(starts.tolist())) == len(starts) == len(lengths)
        assert 1 <= starts.min() <= starts.max() <= length - 2


def _pairs(masking: Masking | None) -> TaggedPairs:
    from fairseq.data import Dictionary, LanguagePairDataset

    dictionary = Dictionary()
    for symbol in [*map(str, range(30)), "[ko]", "[en]", "<mask>"]:
        dictionary.add_symbol(symbol)
    sides = []
    for tag in ("[ko]", "[en]"):
        ends = [dictionary.eos(), dictionary.index(tag)]
        sides.append([torch.tensor([dictionary.bos(), *range(4, 4 + length), *ends]) for length in (25, 9)])
    (sources, targets), sizes = sides, [28, 12]
    stock = LanguagePairDataset(sources, sizes, dictionary, targets, sizes, dictionary)
    return TaggedPairs(stock, masking=masking, mask=dictionary.index("<mask>"), seed=1)


def test_decoder_input_begins_with_the_tag() -> None:
    """The target's last token leads the decoder's input, in place of the end mark."""
    pairs = _pairs(None)
    batch = pairs.collater([pairs[0], pairs[1]])
    tag, begin = pairs.tgt_dict.index("[en]"), pairs.tgt_dict.bos()
    assert batch["net_input"]["prev_output_tokens"][:, :2].tolist() == [[tag, begin]] * 2
    for row, length in enumerate((28, 12)):
        assert batch["target"][row, length - 2 : length].tolist() == [pairs.tgt_dict.eos(), tag]


def test_masks_depend_on_epoch_and_sentence_alone() -> None:
    """The same epoch draws the same masks in any order of reading, another epoch others; targets stay whole."""
    pairs, plain = _pairs(MASKING), _pairs(None)
    pairs.set_epoch(1)
    first, second = pairs[0]["source"], pairs[1]["source"]
    assert torch.equal(pairs[1]["source"], second)
    assert torch.equal(pairs[0]["source"], first)
    pairs.set_epoch(2)
    assert not torch.equal(pairs[0]["source"], first)
    assert torch.equal(pairs[0]["target"], plain[0]["target"])
    assert (first == pairs.mask).any()
    assert len(first) == len(plain[0]["source"])
