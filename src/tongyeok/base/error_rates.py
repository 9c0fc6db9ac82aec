"""Error rates of transcripts: edit distance over words or characters, summed over a corpus.

Characters are code points: texts must be composed (NFC), so that a Hangul syllable is one.
"""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein


def word_errors(hypothesis: str, reference: str) -> tuple[int, int]:
    """(Substitutions + insertions + deletions, words of the reference)."""
    words = reference.split()
    return int(Levenshtein.distance(hypothesis.split(), words)), len(words)


def character_errors(hypothesis: str, reference: str, *, spaces: bool = True) -> tuple[int, int]:
    """(Substitutions + insertions + deletions, characters of the reference).

    Args:
        hypothesis: what was heard.
        reference: what was said.
        spaces: whether the spaces between words count, as characters; else they are taken out on both sides.
    """
    if not spaces:
        hypothesis, reference = ("".join(text.split()) for text in (hypothesis, reference))
    return int(Levenshtein.distance(hypothesis, reference)), len(reference)


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Word error rate of a corpus in percent; above 100 where much is inserted.

    Raises:
        ValueError: the two lists differ in length or are empty, or the references hold no words.
    """
    check_pairs(hypotheses, references)
    return _rate([word_errors(*pair) for pair in zip(hypotheses, references, strict=True)], "words")


def cer(hypotheses: Sequence[str], references: Sequence[str], *, spaces: bool = True) -> float:
    """Character error rate of a corpus in percent, with or without spaces; above 100 where much is inserted.

    Raises:
        ValueError: the two lists differ in length or are empty, or the references hold no characters.
    """
    check_pairs(hypotheses, references)
    pairs = zip(hypotheses, references, strict=True)
    return _rate([character_errors(*pair, spaces=spaces) for pair in pairs], "characters")


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Make sure that each hypothesis has its reference, and that there are any.

    Raises:
        ValueError: the two lists differ in length or are empty.
    """
    if len(hypotheses) != len(references) or not references:
        raise ValueError(f"expected as many hypotheses as references, got {len(hypotheses)} and {len(references)}")


def _rate(counts: Sequence[tuple[int, int]], what: str) -> float:
    whole = sum(count for _, count in counts)
    if not whole:
        raise ValueError(f"expected references with {what}, got none")
    return 100 * sum(errors for errors, _ in counts) / whole
