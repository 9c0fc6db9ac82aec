"""What the benchmarks work on: clips of the default corpus, made by the stages `corpus` and `manifest`."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tongyeok.base.audio import Samples, read_location
from tongyeok.base.manifests import read_manifest


@cache
def corpus(groups: int) -> Path:
    """A folder with `corpus/` and `manifest/` of the first `groups` sentence groups to train on."""
    folder = Path(mkdtemp(prefix="tongyeok-bench-"))
    stages = {
        "corpus": ["--data", "data", "--set", f"corpus.source.max_groups={{train: {groups}, valid: 4, test: 4}}"],
        "manifest": ["--corpus", str(folder / "corpus")],
    }
    for stage, options in stages.items():
        command = [sys.executable, "-m", "tongyeok", stage, *options, "--outputs", str(folder / stage)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def clips(groups: int) -> list[Samples]:
    """The training clips of that corpus, in the manifest's order."""
    manifest = read_manifest(corpus(groups) / "manifest", "train")
    return [read_location(manifest.root, location) for location in manifest.locations]
