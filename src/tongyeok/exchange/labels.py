"""Label shards `<split>_<rank>_<nshard>.km` merged, and their dictionary, as simple_kmeans/README.md has it."""

from pathlib import Path

from tongyeok.base.files import whole, write_text
from tongyeok.errors import UnitError
from tongyeok.speech2unit.labels import dictionary


def merge_labels(folder: Path, *, split: str, shards: int, clusters: int, target: Path) -> int:
    """Write `<split>.km` of all shards in order, and `dict.km.txt`; return the number of utterances.

    The dictionary is written anew, where the original's `>>` doubles it on a second run.

    Args:
        folder: with `dump_km_label.py`'s shards.
        split: e.g. `train`.
        shards: how many there are.
        clusters: K, the number of labels.
        target: folder to write to.

    Raises:
        UnitError: a shard is missing or empty, or a label is not one of 0..K-1.
    """
    known = {str(label) for label in range(clusters)}
    utterances = 0
    with whole(target / f"{split}.km") as partial, partial.open("w", encoding="ascii", newline="\n") as merged:
        for rank in range(shards):
            path = folder / f"{split}_{rank}_{shards}.km"
            lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
            if not lines:
                raise UnitError(f"{path}: expected the labels of shard {rank} of {shards}, got none; write it first")
            for number, line in enumerate(lines, start=1):
                if strangers := set(line.split()) - known:
                    raise UnitError(
                        f"{path}:{number}: expected labels in 0..{clusters - 1}, got {min(strangers)!r}; correct "
                        "--clusters, or label with the codebook meant"
                    )
            merged.writelines(f"{line}\n" for line in lines)
            utterances += len(lines)
    write_text(target / "dict.km.txt", dictionary(clusters))
    return utterances
