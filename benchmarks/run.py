"""Print each hot path beside the stock way, as ratios, and write `benchmarks/results.json`.

Both ways run in this process on the same data, in turn; a ratio above 1 means that ours is faster. Every row names the
parity that makes the comparison fair.
"""

import importlib
import json
import platform
import warnings
from pathlib import Path

import torch

PATHS = ("hubert_step", "translator_train")
THREADS = 2


def main() -> None:
    """Measure every path, print the table and write the results."""
    warnings.simplefilter("ignore")  # third parties' notices of deprecation would stand between the rows
    torch.set_num_threads(THREADS)
    importlib.import_module("tongyeok_fairseq")
    rows = []
    print(f"{'path':32} {'ours':>10} {'stock':>10} {'ratio':>7}  range          parity")
    for path in PATHS:
        for row in importlib.import_module(path).rows():
            rows.append(row)
            low, middle, high = row.ratios
            print(
                f"{row.name:32} {row.ours:10.1f} {row.stock:10.1f} {middle:6.2f}x  "
                f"{low:.2f} to {high:<6.2f}  {row.parity} ({row.unit})"
            )
    results = {
        "device": f"{platform.machine()}, {THREADS} CPU threads",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "paths": {row.name: row.as_json() for row in rows},
    }
    Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
