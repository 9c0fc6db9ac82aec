"""The splits of a study: its stages train on a part of train, and what they call test is the project's valid split.

So every stage of the flow can run as it is, `translate_test` and `evaluate` included, and no sentence of the project's
test split is in anything that a study reads. What trainings look at on their way is held out of train.
"""

from pathlib import Path

import numpy as np

from tongyeok.base.manifests import read_manifest, subset, write_manifest
from tongyeok.base.utterances import read_utterances
from tongyeok.errors import ManifestError

JUDGED = "test"  # in the study's manifest: the project's valid split
MOST_SHARE = 0.25  # of train's groups that may be held out


def write_splits(manifest: Path, corpus: Path, folder: Path, *, seed: int) -> None:
    """Write the study's manifest.

    As many groups as `valid` has, drawn by `seed`, leave train and become the study's valid split.

    Args:
        manifest: folder of the stage.
        corpus: folder of the stage; it knows the groups.
        folder: to write to.
        seed: of the draw.

    Raises:
        ManifestError: the manifest names what the corpus lacks, or a split is empty.
    """
    group_of = {utterance.utt: utterance.group for utterance in read_utterances(corpus)}
    train, valid = (read_manifest(manifest, split) for split in ("train", "valid"))
    strangers = [utt for utt in (*train.utts, *valid.utts) if utt not in group_of]
    if strangers:
        raise ManifestError(f"{manifest}: the corpus has no utterance {strangers[0]!r}; rebuild `manifest`")
    learned, judged = (sorted({group_of[utt] for utt in split.utts}) for split in (train, valid))
    count = min(len(judged), int(MOST_SHARE * len(learned)))
    if not count:
        raise ManifestError(
            f"{manifest}: expected groups in valid, and at least {round(1 / MOST_SHARE)} in train to hold one out of, "
            f"got {len(judged)} and {len(learned)}; add speech, or raise manifest.valid"
        )
    drawn = {learned[place] for place in np.random.default_rng(seed).permutation(len(learned))[:count].tolist()}
    held_out = [group_of[utt] in drawn for utt in train.utts]
    write_manifest(folder, "train", subset(train, [row for row, out in enumerate(held_out) if not out]))
    write_manifest(folder, "valid", subset(train, [row for row, out in enumerate(held_out) if out]))
    write_manifest(folder, JUDGED, valid)
