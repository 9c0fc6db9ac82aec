"""What an hour of audio costs as hours grow, and what DVC takes on top when outputs stand for a million utterances.

`python benchmarks/growth.py --hours 1 10 100` runs the stages corpus, manifest, labels@0, units (of MFCC) and bitext as
their commands, on the default corpus's sentences said over and over under new ids, and writes `growth.json`: seconds
per hour of audio and the most MiB that a stage's process held. Constant seconds and flat MiB are the aim. A hundred
hours take about an hour on two cores, most of it espeak's.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tongyeok.base.utterances import read_utterances

RESULTS = Path(__file__).with_name("growth.json")
TABLE = Path("data") / "sentences.tsv"
GROUPS_PER_HOUR = 250  # of the default corpus's sentences in three languages, two readers in training
SHARDS, UTTERANCES = 500, 1_000_000
SHARD_BYTES = 1 << 18  # DVC looks at a file's size and time, once it knows its hash
STAGES = ("corpus", "manifest", "kmeans@0", "labels@0", "units", "bitext")


def main() -> None:
    """Measure, print, and write `growth.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 10], help="default: %(default)s")
    options = parser.parse_args()
    found = {}
    for hours in options.hours:
        with TemporaryDirectory(prefix="tongyeok-growth-") as folder:
            real, stages = grow(Path(folder), hours)
        found[f"{real:.1f}"] = stages
        print(f"{real:.1f} h:", flush=True)
        for stage, cost in stages.items():
            print(f"  {stage:10} {cost['seconds_per_hour']:8.2f} s an hour {cost['peak_mib']:8.0f} MiB", flush=True)
    with TemporaryDirectory(prefix="tongyeok-growth-") as folder:
        overhead = pipeline_overhead(Path(folder))
    print(
        f"DVC, {SHARDS} shards for {UTTERANCES:,} utterances:", *(f"{key} {value} s" for key, value in overhead.items())
    )
    RESULTS.write_text(json.dumps({"hours": found, "dvc": overhead}, indent=2) + "\n", encoding="utf-8")


def grow(folder: Path, hours: float) -> tuple[float, dict[str, dict[str, float]]]:
    """Run the stages on about so many hours: how many they were, and each stage's cost."""
    data = folder / "data"
    data.mkdir()
    write_table(data / TABLE.name, groups=round(hours * GROUPS_PER_HOUR))
    paths = {name: str(folder / name) for name in ("corpus", "manifest", "kmeans", "labels", "units", "bitext")}
    given = {name: [f"--{name}", paths[name]] for name in paths}
    inputs = {
        "corpus": ["--data", str(data)],
        "manifest": given["corpus"],
        "kmeans@0": given["manifest"],
        "labels@0": given["manifest"] + given["kmeans"],
        "units": given["corpus"] + given["manifest"] + given["kmeans"],
        "bitext": given["corpus"] + given["manifest"] + given["units"],
    }
    costs = {}
    for stage in STAGES:
        outputs = paths[stage.partition("@")[0]]
        costs[stage] = cost([sys.executable, "-m", "tongyeok", stage, *inputs[stage], "--outputs", outputs])
    real = sum(utterance.samples for utterance in read_utterances(folder / "corpus")) / 16_000 / 3600
    return real, {
        stage: {"seconds_per_hour": round(seconds / real, 2), "peak_mib": round(peak)}
        for stage, (seconds, peak) in costs.items()
    }


def write_table(path: Path, *, groups: int) -> None:
    """The default table's rows over and over, each time under new ids."""
    header, *rows = TABLE.read_text(encoding="utf-8").splitlines()
    lines = [header]
    for number in range(groups):
        turn, place = divmod(number, len(rows))
        group, rest = rows[place].split("\t", 1)
        lines.append(f"{group}r{turn}\t{rest}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cost(command: Sequence[str]) -> tuple[float, float]:
    """Seconds of a command, and the most MiB that it or one of its processes held."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    message = child.stderr.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {child.returncode}: {message[-2000:]}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def pipeline_overhead(folder: Path) -> Mapping[str, float]:
    """Seconds of `dvc status` and of a `dvc repro` with nothing to do, on outputs of big shards."""
    names = ("corpus", "units", "bitext")
    stages = []
    for before, name in zip(("", *names), names, strict=False):
        source = f"    deps: [{before}]\n" if before else ""
        stages.append(f"  {name}:\n    cmd: {sys.executable} make.py {name}\n{source}    outs: [{name}]\n")
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(stages), encoding="utf-8")
    (folder / "make.py").write_text(
        "import sys, pathlib, hashlib\n"
        f"folder = pathlib.Path(sys.argv[1]); folder.mkdir(exist_ok=True)\n"
        f"for number in range({SHARDS // len(names)}):\n"
        "    seed = hashlib.sha256(f'{folder}{number}'.encode()).digest()\n"
        f"    (folder / f'{{number:06d}}.zip').write_bytes(seed * ({SHARD_BYTES} // len(seed)))\n",
        encoding="utf-8",
    )
    dvc = [sys.executable, "-m", "dvc"]
    cost([*dvc, "--cd", str(folder), "init", "--no-scm"])
    cost([*dvc, "--cd", str(folder), "repro"])
    verbs = {"status_s": "status", "repro_without_work_s": "repro"}
    return {name: round(cost([*dvc, "--cd", str(folder), verb])[0], 2) for name, verb in verbs.items()}


if __name__ == "__main__":
    main()
