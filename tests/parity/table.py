"""Run the comparisons with reference tools, and write what they found into docs/: `python tests/parity/table.py`."""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PAGES = {
    ROOT / "docs" / "guideline.md": "| reference | same input for both | result | test |",
    ROOT / "docs" / "guideline.ko.md": "| 기준 도구 | 양쪽에 같은 입력 | 결과 | 시험 |",
}
BEGIN, END = "<!-- parity: python tests/parity/table.py -->\n", "<!-- parity ends -->\n"


def main() -> int:
    """Write the table; nothing is written where a comparison fails."""
    tests = sorted(path for path in HERE.glob("test_*.py") if "compared(" in path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.xml")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n0", "-o", "junit_family=xunit1", f"--junitxml={found}", *tests],
            cwd=ROOT,
            check=False,
        )
        if done.returncode:
            return done.returncode
        rows = read(found)
    for path, heads in PAGES.items():
        text = path.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
        table = "\n".join([heads, "|---|---|---|---|", *rows, ""])
        path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    return 0


def read(path: Path) -> list[str]:
    """Rows of the table from pytest's report, in the order of the tests."""
    rows = []
    for case in ET.parse(path).iter("testcase"):
        test = case.attrib["classname"].rpartition(".")[2]
        for each in case.iter("property"):
            if each.attrib["name"] == "parity":
                cells = each.attrib["value"].split("\t")
                rows.append("| " + " | ".join([*cells, f"`{test}`"]) + " |")
    return rows


if __name__ == "__main__":
    sys.exit(main())
