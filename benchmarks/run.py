"""Print each hot path beside the stock way, as ratios.

Both ways run in one process on the same data, in turn; a ratio above 1 means that ours is faster. Every row names the
parity that makes the comparison fair, and the limit of the work. With `--write`, the results go to
`benchmarks/results.json` and into the tables of the READMEs.
"""

import argparse
import importlib
import json
import multiprocessing
import platform
import re
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from paired import Row

# One module each; a module may give several rows.
MODULES = (
    "hubert_step",
    "speech_to_units",
    "mfcc_labels",
    "kmeans_fit",
    "translator_train",
    "unit_decode",
    "vocoder",
    "translate_clip",
)
THREADS = 2
RESULTS = Path(__file__).with_name("results.json")
READMES = (Path("README.md"), Path("README.ko.md"))
TABLE = re.compile(r"(?<=<!-- bench -->\n).*?(?=<!-- /bench -->)", re.DOTALL)
PACKAGES = ("torch", "ve-fairseq", "scikit-learn", "ctranslate2", "numpy")


def main() -> None:
    """Measure the paths asked for, print them as they come, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; default: all")
    parser.add_argument("--threads", type=int, default=THREADS, help="CPU threads (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write results.json and the READMEs' tables")
    options = parser.parse_args()
    unknown = set(options.modules) - set(MODULES)
    if unknown:
        parser.error(f"no such module: {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {"paths": {}}
    paths = known["paths"]
    for module in options.modules or MODULES:
        for row in measured(module, options.threads):
            print(
                f"{row.name}: {row.ratios[1]:.2f}x ({row.ratios[0]:.2f} to {row.ratios[2]:.2f}); "
                f"{row.ours.speed:g} against {row.stock.speed:g} {row.unit}, "
                f"{row.ours.memory_mib:.0f} against {row.stock.memory_mib:.0f} MiB\n"
                f"  parity: {row.parity}\n  limit: {row.limit}",
                flush=True,
            )
            path, _, variant = row.name.partition("/")
            if variant:
                paths[path].setdefault("variants", {})[variant] = row.as_json()
            else:
                paths[path] = row.as_json()
    if options.write:
        versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
        device = f"{platform.machine()}, {options.threads} CPU threads"
        results = {"device": device, "versions": versions, "paths": paths}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        for readme in READMES:
            text = readme.read_text(encoding="utf-8")
            readme.write_text(TABLE.sub(lambda _: table(paths), text), encoding="utf-8")


def measured(module: str, threads: int) -> Sequence[Row]:
    """The rows of one module, measured in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_rows, (module, threads))


def _rows(module: str, threads: int) -> list[Row]:
    import torch  # noqa: PLC0415  not in the process that only prints

    warnings.simplefilter("ignore")  # third parties' notices of deprecation would stand between the rows
    torch.set_num_threads(threads)
    importlib.import_module("tongyeok_fairseq")
    found: list[Row] = importlib.import_module(module).rows()
    return found


def table(paths: Mapping[str, Any]) -> str:
    """Markdown for the READMEs: a line for each path and variant."""
    lines = ["| path | unit | ours | stock | ratio (range) | memory, MiB |", "|---|---|---|---|---|---|"]
    for path, found in paths.items():
        rows = {path: found} | {f"{path}, {name}": each for name, each in found.get("variants", {}).items()}
        for name, row in rows.items():
            low, high = row["ratio_range"]
            memory = f"{row['ours_memory_mib']:.0f} / {row['stock_memory_mib']:.0f}"
            speeds = f"{row['ours']:,.4g} | {row['stock']:,.4g}"
            lines.append(f"| `{name}` | {row['unit']} | {speeds} | **{row['ratio']}x** ({low} to {high}) | {memory} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
