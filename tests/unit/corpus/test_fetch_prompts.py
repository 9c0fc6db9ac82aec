"""tools/fetch_prompts.sh with an `apt-get` and a `dpkg-deb` that need no network."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "tools" / "fetch_prompts.sh"
APT = """[ "$1" = download ] && shift && touch "${@/%/_1.deb}"
"""
DPKG = """name=${2#./}; name=${name%_1.deb}; lang=${name#asterisk-core-sounds-}; lang=${lang%-g722}
mkdir -p "$3/usr/share/doc/$name"; echo "licence of $name" > "$3/usr/share/doc/$name/copyright"
case $name in
  *-g722) mkdir -p "$3/usr/share/asterisk/sounds/${lang}_XX_somebody/digits"
    echo x > "$3/usr/share/asterisk/sounds/${lang}_XX_somebody/digits/1.g722" ;;
  *) echo "digits/1: one" | gzip > "$3/usr/share/doc/$name/core-sounds-$lang.txt.gz" ;;
esac
"""


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """A folder of commands that goes before others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in (("apt-get", APT), ("dpkg-deb", DPKG)):
        (folder / name).write_text(f"#!/bin/bash\nset -e\n{body}")
        (folder / name).chmod(0o755)
    return folder


def fetch(data: Path, *, path: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", str(SCRIPT), str(data)]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


def test_prompts_transcripts_and_licences_are_left(debian: Path, tmp_path: Path) -> None:
    """Of six packages prompts, transcripts and licences stay, and nothing temporary; checksums are printed."""
    done = fetch(tmp_path / "data", path=f"{debian}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    found = sorted(
        str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*") if path.is_file()
    )
    licences = [
        f"licence/asterisk-core-sounds-{lang}{kind}.txt" for lang in ("en", "es", "fr") for kind in ("-g722", "")
    ]
    assert found == sorted(
        [*(f"{n}{end}" for n in ("en", "es", "fr") for end in ("/digits/1.g722", ".txt")), *licences]
    )
    assert (tmp_path / "data" / "fr.txt").read_text() == "digits/1: one\n"
    lines = done.stdout.splitlines()
    assert sum(line.endswith(".deb") for line in lines) == 6
    assert lines[-3:] == ["en: 1 prompts", "es: 1 prompts", "fr: 1 prompts"]


def test_other_data_is_not_overwritten(debian: Path, tmp_path: Path) -> None:
    """A folder that has prompts already is refused before anything is fetched."""
    (tmp_path / "data" / "es").mkdir(parents=True)
    done = fetch(tmp_path / "data", path=f"{debian}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert "data/es: expected no prompts yet, got some; remove" in done.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["es"]


def test_a_failed_download_leaves_nothing(debian: Path, tmp_path: Path) -> None:
    """When apt-get fails, what to do is told, and the data folder stays empty."""
    (debian / "apt-get").write_text("#!/bin/bash\nexit 100\n")
    done = fetch(tmp_path / "data", path=f"{debian}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "`apt-get update` renews its lists" in done.stderr
    assert not list((tmp_path / "data").iterdir())


def test_other_systems_are_told(tmp_path: Path) -> None:
    """Without Debian's tools the script says where it runs."""
    done = fetch(tmp_path / "data", path=str(tmp_path))
    assert done.returncode == 1
    assert "expected Debian's apt-get, got none; run this on Debian or Ubuntu" in done.stderr
