"""base/files.py."""

from pathlib import Path

import pytest

from tongyeok.base import files


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """When writing fails, the old file stays whole and nothing else is left behind."""
    target = tmp_path / "x.json"
    files.write_text(target, "old")

    def fail_half_way() -> None:
        with files.whole(target) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_refuses_nan(tmp_path: Path) -> None:
    """A NaN never enters a metrics file."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"loss": float("nan")})


def test_sha256_is_the_known_digest(tmp_path: Path) -> None:
    """The digest of `abc` is the one in FIPS 180-4."""
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")
