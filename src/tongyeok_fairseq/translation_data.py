"""Binarise parallel text for fairseq's `translation` task, byte for byte as `fairseq-preprocess` does."""

from pathlib import Path

from fairseq.binarizer import FileBinarizer, VocabularyDatasetBinarizer
from fairseq.data import Dictionary

SOURCE, TARGET = "src", "tgt"  # fairseq's "languages": the two sides of the bitext; the real ones are in the tags


def binarise(
    text_folder: Path, *, dictionary: Path, bin_folder: Path, splits: tuple[str, ...], workers: int, whole: bool
) -> None:
    """Write `bin_folder` as `fairseq-preprocess --joined-dictionary --srcdict` would, without its log.

    Sentences that are `whole` have all their marks already; fairseq would add another end mark.

    Source: fairseq_cli/preprocess.py `main` and `_make_binary_dataset`.

    Raises:
        ValueError: a token of the text is not in the dictionary.
    """
    bin_folder.mkdir(parents=True)
    symbols = Dictionary.load(str(dictionary))
    for side in (SOURCE, TARGET):
        symbols.save(str(bin_folder / f"dict.{side}.txt"))
    for split in splits:
        for side in (SOURCE, TARGET):
            text = text_folder / f"{split}.{side}"
            summary = FileBinarizer.multiprocess_dataset(
                str(text),
                "mmap",
                VocabularyDatasetBinarizer(symbols, append_eos=not whole),
                str(bin_folder / f"{split}.{SOURCE}-{TARGET}.{side}"),
                vocab_size=len(symbols),
                num_workers=workers,
            )
            if summary.num_replaced:
                strangers = ", ".join(sorted(summary.replaced)[:5])
                raise ValueError(f"{text}: {summary.num_replaced} tokens are not in {dictionary.name}: {strangers}")
