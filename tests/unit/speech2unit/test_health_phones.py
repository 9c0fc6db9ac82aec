"""Agreement of units with phones."""

from pathlib import Path

import numpy as np
import pytest

from tongyeok.errors import CorpusError
from tongyeok.speech2unit.health_phones import Alignment, PhoneTable, agreement, phone_table, read_alignments


def test_a_frame_has_the_phone_at_its_centre() -> None:
    """Frame t counts as the phone that sounds at sample 320 t + 160; past the last phone, as that one."""
    alignment = Alignment(phones=("a", "b:"), ends=np.array([800, 900]))
    table = phone_table({"u": np.array([0, 1, 1, 2, 2]), "unknown": np.array([0])}, {"u": alignment}, clusters=3)
    assert table is not None
    assert table.phones == ("a", "b:")
    np.testing.assert_array_equal(table.counts, [[1, 1, 0], [0, 1, 2]])


def test_without_alignments_there_is_no_table() -> None:
    """Languages whose phones are unknown have no agreement."""
    assert phone_table({"u": np.array([0])}, {}, clusters=3) is None


def test_perfect_and_useless_units() -> None:
    """Units that are phones agree wholly; units that ignore phones explain nothing."""
    perfect = agreement(PhoneTable(phones=("a", "b"), counts=np.array([[5, 0], [0, 5]])))
    assert (perfect.phone_purity, perfect.cluster_purity, perfect.pnmi) == (1, 1, pytest.approx(1))
    useless = agreement(PhoneTable(phones=("a", "b"), counts=np.array([[3, 3], [3, 3]])))
    assert (useless.phone_purity, useless.cluster_purity, useless.pnmi) == (0.5, 0.5, pytest.approx(0))


def test_figures_follow_their_definition() -> None:
    """PNMI is the mutual information over the phones' entropy, computed from the definition."""
    counts = np.array([[4, 1, 0], [1, 2, 2]])
    joint = counts / counts.sum()
    p, u = joint.sum(axis=1), joint.sum(axis=0)
    mutual = sum(
        joint[i, j] * np.log2(joint[i, j] / (p[i] * u[j])) for i in range(2) for j in range(3) if joint[i, j] > 0
    )
    found = agreement(PhoneTable(phones=("a", "b"), counts=counts))
    assert found.pnmi == pytest.approx(mutual / -(p * np.log2(p)).sum())
    assert found.phone_purity == pytest.approx(0.8)
    assert found.cluster_purity == pytest.approx(0.6)


def test_alignments_survive_their_file(tmp_path: Path) -> None:
    """Phones may contain colons; ends are samples."""
    path = tmp_path / "phones.tsv"
    path.write_text("utt\tphones\nu1\tsil:10 a:20 iː::30\n", encoding="utf-8")
    found = read_alignments(path)["u1"]
    assert found.phones == ("sil", "a", "iː:")
    assert found.ends.tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("utt\tp\nu\ta:1\n", "phones.tsv:1: expected the header"),
        ("utt\tphones\nu\ta:x\n", "phones.tsv:2: u: expected `phone:end_sample …`, got 'a:x'"),
        ("utt\tphones\nu\ta:5 b:3\n", "phones.tsv:2: u: expected phones with rising ends, got 'a:5 b:3'"),
        ("utt\tphones\nu\t\n", "phones.tsv:2: u: expected phones with rising ends, got ''"),
    ],
)
def test_malformed_alignments_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """File, line, utterance and what was expected are named."""
    path = tmp_path / "phones.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        read_alignments(path)
    assert message in str(caught.value)
