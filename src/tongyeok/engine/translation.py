"""The door to fairseq's translation task: binarise bitext, train a Transformer, translate units."""

from pathlib import Path

from tongyeok.base.manifests import SPLITS


def binarise(text_folder: Path, *, dictionary: Path, bin_folder: Path, workers: int) -> None:
    """Write `{split}.{src,tgt}` of `text_folder` in fairseq's binary form, with one dictionary for both sides.

    The bytes are those of `fairseq-preprocess --joined-dictionary --srcdict`.

    Raises:
        ValueError: a token is not in the dictionary.
    """
    from tongyeok_fairseq import translation_data  # noqa: PLC0415  the room opens late

    translation_data.binarise(text_folder, dictionary=dictionary, bin_folder=bin_folder, splits=SPLITS, workers=workers)
