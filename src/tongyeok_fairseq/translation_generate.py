"""Beam search with a fairseq Transformer: the target's tag is forced, and nothing but units can follow it.

On CPUs CTranslate2 searches first, and fairseq's own search takes what that leaves (`translation_search`); on GPUs, for
which CTranslate2 would need CUDA libraries of its own, fairseq searches alone. Both find the same.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from fairseq import search
from fairseq.data import Dictionary, data_utils
from fairseq.sequence_generator import SequenceGenerator
from torch import Tensor

from tongyeok_fairseq.translation_model import load_translation_model
from tongyeok_fairseq.translation_search import BeamSearch, Form, suits
from tongyeok_fairseq.translation_task import MASK


class OwnLengthBeamSearch(search.BeamSearch):  # type: ignore[misc]
    """Beam search in which every sentence has a length limit of its own.

    fairseq limits a batch by its longest source, so that a hypothesis would depend on its neighbours;
    its `LengthConstrainedBeamSearch` limits each sentence but counts a forced end as certain.
    """

    def __init__(self, dictionary: Dictionary, *, per_token: float, extra: int) -> None:
        """Limit hypotheses to `per_token` x source tokens + `extra`, the source's tag and end mark counted."""
        super().__init__(dictionary)
        self.per_token, self.extra = per_token, extra
        self.needs_src_lengths = True

    def step(self, step: int, lprobs: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Let a sentence at its limit end and do nothing else."""
        over = step >= (self.src_lengths * self.per_token).long() + self.extra
        if over.any():
            ends = lprobs[over, :, self.eos].clone()
            lprobs[over] = -math.inf
            lprobs[over, :, self.eos] = ends
        chosen: tuple[Tensor, Tensor, Tensor] = super().step(step, lprobs, *rest)
        return chosen


class TaggedBeamSearch(OwnLengthBeamSearch):
    """The same for sentences that end in `</s> [lang]`: at least one unit, then both marks, one after the other."""

    def __init__(self, dictionary: Dictionary, *, per_token: float, extra: int, tag: int, longest: int) -> None:
        """Take `tag` for the end of a hypothesis; `longest` is the last step at which `</s>` may still stand."""
        super().__init__(dictionary, per_token=per_token, extra=extra)
        self.close, self.eos, self.longest = self.eos, tag, longest

    def step(self, step: int, lprobs: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Let the tag follow `</s>` and nothing else, and a sentence at its limit go on to its marks only."""
        closed = rest[1][:, -1].view(lprobs.shape[:2]).eq(self.close)
        limit = ((self.src_lengths * self.per_token).long() + self.extra).clamp(min=2, max=self.longest)
        closing = (step >= limit)[:, None] & ~closed
        ends, closes = lprobs[:, :, self.eos].clone(), lprobs[:, :, self.close].clone()
        lprobs[closed | closing] = -math.inf
        lprobs[:, :, self.eos] = ends.masked_fill(~closed, -math.inf)
        lprobs[:, :, self.close] = closes.masked_fill(closed | torch.tensor(step < 2), -math.inf)  # noqa: PLR2004
        return search.BeamSearch.step(self, step, lprobs, *rest)  # type: ignore[no-any-return]


class Translator:
    """A trained Transformer and its dictionary, ready to translate."""

    def __init__(self, checkpoint: Path, dictionary: Path, *, device: str) -> None:
        """Load both.

        Raises:
            CheckpointError: the checkpoint does not load safely or was made for another dictionary.
        """
        self.dictionary = Dictionary.load(str(dictionary))
        self.model = load_translation_model(checkpoint, self.dictionary).to(device).eval()
        self.device = device
        self._first_unit = self.dictionary.nspecial
        self._tagged_ends = MASK in self.dictionary.indices
        self._not_units = [self.dictionary.bos_word]
        self._not_units += [word for word in self.dictionary.symbols[self._first_unit :] if not word.isdigit()]
        self._quick = BeamSearch(self.model, self.dictionary) if device == "cpu" and suits(self.model) else None

    def translate(
        self,
        sources: Sequence[str],
        *,
        tag: str,
        beam: int,
        length_penalty: float,
        longest_per_token: float,
        longest_extra: int,
        batch_tokens: int,
    ) -> list[np.ndarray]:
        """Best hypothesis of each source as unit ids, without tag and end mark; at least one unit each.

        Args:
            sources: tagged source sentences, as in the bitext.
            tag: the target's tag, forced as the decoder's first token.
            beam: hypotheses kept per sentence.
            length_penalty: exponent of the length that a score is divided by.
            longest_per_token: most target tokens per source token (both with tag and end mark) …
            longest_extra: … plus this many.
            batch_tokens: source tokens, padding included, that are searched at a time.

        Raises:
            ValueError: a token of a source, or the tag, is not in the dictionary.
        """
        target = self._index(tag)
        encoded = [self._encode(source) for source in sources]
        found: list[np.ndarray | None] = [None] * len(encoded)
        if self._quick is not None:
            most = self.model.max_decoder_positions() - 3  # the first token that is read, and both marks of `utut`
            found = self._quick.search(
                [[self.dictionary[index] for index in tokens.tolist()] for tokens in encoded],
                form=self._form(tag),
                beam=beam,
                length_penalty=length_penalty,
                longest=[min(int(len(tokens) * longest_per_token) + longest_extra, most) for tokens in encoded],
                batch_tokens=batch_tokens,
            )
        left = [position for position, units in enumerate(found) if units is None]
        generator = self._generator(
            target, beam=beam, length_penalty=length_penalty, per_token=longest_per_token, extra=longest_extra
        )
        forced = self.dictionary.bos() if self._tagged_ends else target
        marks = slice(1, -2 if self._tagged_ends else -1)
        prefix = torch.tensor([forced], device=self.device)
        for batch in _batches({position: len(encoded[position]) for position in left}, batch_tokens):
            rows = [encoded[position] for position in batch]
            net_input = {
                "src_tokens": data_utils.collate_tokens(rows, self.dictionary.pad(), left_pad=True).to(self.device),
                "src_lengths": torch.tensor([len(row) for row in rows], device=self.device),
            }
            hypotheses = generator.generate(
                [self.model], {"net_input": net_input}, prefix_tokens=prefix.expand(len(rows), 1)
            )
            for position, ranked in zip(batch, hypotheses, strict=True):
                tokens = ranked[0]["tokens"][marks].cpu().numpy()
                found[position] = (tokens - self._first_unit).astype(np.int32)
        assert all(units is not None for units in found)
        return [units for units in found if units is not None]

    def _form(self, tag: str) -> Form:
        start, end = self.dictionary.bos_word, self.dictionary.eos_word
        if self._tagged_ends:
            return Form(start=tag, forced=start, closing=(end,), end=tag)
        return Form(start=end, forced=tag, closing=(), end=end)

    def _generator(
        self, target: int, *, beam: int, length_penalty: float, per_token: float, extra: int
    ) -> SequenceGenerator:
        longest = self.model.max_decoder_positions() - 1
        tag = self.dictionary[target]
        return SequenceGenerator(
            [self.model],
            self.dictionary,
            beam_size=beam,
            max_len_a=per_token,
            max_len_b=extra + self._tagged_ends,  # the tag behind the end mark
            max_len=longest,
            min_len=2 + self._tagged_ends,  # the tag, or both of `<s>` and `</s>`, and a unit
            len_penalty=length_penalty,
            unk_penalty=math.inf,
            tokens_to_suppress=[word for word in self._not_units if not (self._tagged_ends and word == tag)],
            search_strategy=self._strategy(target, per_token=per_token, extra=extra, longest=longest - 2),
            eos=target if self._tagged_ends else None,
        )

    def _strategy(self, tag: int, *, per_token: float, extra: int, longest: int) -> OwnLengthBeamSearch:
        if self._tagged_ends:
            return TaggedBeamSearch(self.dictionary, per_token=per_token, extra=extra, tag=tag, longest=longest)
        return OwnLengthBeamSearch(self.dictionary, per_token=per_token, extra=extra)

    def _index(self, word: str) -> int:
        index = int(self.dictionary.index(word))
        if index == self.dictionary.unk():
            raise ValueError(f"{word!r} is not in the translator's dictionary")
        return index

    def _encode(self, source: str) -> Tensor:
        ends = [] if self._tagged_ends else [self.dictionary.eos()]
        return torch.tensor([*map(self._index, source.split()), *ends])


def _batches(lengths: Mapping[int, int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions in batches of similar length, longest first."""
    batch: list[int] = []
    for position in sorted(lengths, key=lambda position: -lengths[position]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch
