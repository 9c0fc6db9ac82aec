"""Beam search on CPUs with CTranslate2, which repeats fairseq's and tells where it might not.

The search runs without this project's rules for hypotheses (units only, at least one, a longest length): a rule that no
hypothesis came near has changed nothing. Where one did, the sentence is left to fairseq's own search. So a hypothesis
is what fairseq finds, and depends neither on its neighbours nor on the number of threads.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import fairseq as layers
from ctranslate2.specs import TransformerSpec
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel

ALMOST_NONE = 1e-6  # a length penalty of 0 would let CTranslate2 stop at the first hypothesis; fairseq finds all
BATCH_TOKENS = 1_000  # most source tokens searched at a time; the states of more do not stay in a core's cache


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a convention of tags frames a hypothesis."""

    start: str  # what the decoder reads first
    forced: str  # what every hypothesis begins with
    closing: tuple[str, ...]  # what stands between its units and its end
    end: str  # what ends it


def suits(model: TransformerModel) -> bool:
    """Whether CTranslate2 can compute a model: it knows one number of heads and one place of the layer norms."""
    options = model.args
    return bool(
        options.encoder_attention_heads == options.decoder_attention_heads
        and options.encoder_normalize_before == options.decoder_normalize_before
    )


class BeamSearch:
    """A Transformer as CTranslate2 holds it, in float32, with one thread a batch."""

    def __init__(self, model: TransformerModel, dictionary: Dictionary) -> None:
        """Take the weights of a model for which `suits` is true."""
        options = model.args
        spec = TransformerSpec.from_config(
            (options.encoder_layers, options.decoder_layers),
            options.encoder_attention_heads,
            pre_norm=options.encoder_normalize_before,
        )
        with torch.no_grad():
            layers.set_transformer_encoder(spec.encoder, model.encoder)
            layers.set_transformer_decoder(spec.decoder, model.decoder)
        spec.register_source_vocabulary(list(dictionary.symbols))
        spec.register_target_vocabulary(list(dictionary.symbols))
        spec.config.unk_token = dictionary.unk_word
        spec.config.decoder_start_token = None  # the first token of the forced ones
        spec.validate()
        with tempfile.TemporaryDirectory() as folder:
            spec.save(folder)
            self._engine = ctranslate2.Translator(
                folder, compute_type="float32", inter_threads=torch.get_num_threads(), intra_threads=1
            )
        self._symbols = len(dictionary)
        self._longest_source = model.encoder.max_positions()

    def search(
        self,
        sources: Sequence[Sequence[str]],
        *,
        form: Form,
        beam: int,
        length_penalty: float,
        longest: Sequence[int],
        batch_tokens: int,
    ) -> list[np.ndarray | None]:
        """Units of each source's best hypothesis, or None where the search came near a rule.

        Args:
            sources: symbols of each source, end mark included.
            form: what frames a hypothesis.
            beam: hypotheses kept per sentence.
            length_penalty: exponent of the length, frame included, that a score is divided by.
            longest: most tokens of a hypothesis of each source, `form.start` and `form.end` left out.
            batch_tokens: source tokens, padding included, that are searched at a time, or fewer.
        """
        found: list[np.ndarray | None] = [None] * len(sources)
        fits = [row for row, source in enumerate(sources) if len(source) <= self._longest_source]
        if not fits or 2 * beam >= self._symbols:
            return found
        batching = {"max_batch_size": min(batch_tokens, BATCH_TOKENS), "batch_type": "tokens", "max_input_length": 0}
        texts, frames = [list(sources[row]) for row in fits], [[form.start, form.forced]] * len(fits)
        exponent = length_penalty or ALMOST_NONE
        results = self._engine.translate_batch(
            texts,
            target_prefix=frames,
            beam_size=beam,
            num_hypotheses=beam,
            length_penalty=exponent,
            max_decoding_length=max(longest[row] for row in fits) + 1,
            end_token=form.end,
            return_scores=True,
            **batching,
        )
        begun = self._engine.score_batch(texts, frames, **batching)
        for row, result, beginning in zip(fits, results, begun, strict=True):
            ranked = _hypotheses(result, form, longest[row], exponent)
            if ranked:
                first = beginning.log_probs[0]  # fairseq counts what is forced; CTranslate2 does not
                framed = 1 + len(form.closing) + 1
                found[row] = max(
                    ranked, key=lambda each: (each[0] + first) / (each[1].size + framed) ** length_penalty
                )[1]
        return found


def _hypotheses(
    result: ctranslate2.TranslationResult, form: Form, longest: int, exponent: float
) -> list[tuple[float, np.ndarray]]:
    """Summed log-probability and units of each hypothesis; none if one of them, or the search, came near a rule."""
    ranked = []
    for tokens, score in zip(result.hypotheses, result.scores, strict=True):
        units = tokens[1 : len(tokens) - len(form.closing)]
        closed = tuple(tokens[1 + len(units) :]) == form.closing
        if not units or not closed or not all(map(str.isdigit, units)) or len(tokens) >= longest:
            return []
        length = len(tokens) + 1  # that CTranslate2 divided by, the end counted
        ranked.append((score * length**exponent, np.array(units, dtype=np.int32)))
    return ranked
