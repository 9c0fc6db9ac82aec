"""The codebook: assignment, ties, smoothing, and a file that tells its origin."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tongyeok.errors import UnitError
from tongyeok.speech2unit.codebook import BLOCK, Codebook, viterbi


def _codebook(centroids: np.ndarray) -> Codebook:
    return Codebook(centroids=centroids.astype(np.float32), feature="mfcc", layer=None, checkpoint="")


def test_an_exact_tie_goes_to_the_lowest_index() -> None:
    """A frame as near to two centroids as can be takes the first; equal centroids too."""
    codebook = _codebook(np.array([[1.0, 0], [-1, 0], [1, 0]]))
    units = codebook.assign(np.array([[0, 5], [1, 0], [-1, 0]], dtype=np.float32), switch_penalty=0)
    assert units.tolist() == [0, 0, 1]
    assert units.dtype == np.int32


def test_long_recordings_are_assigned_in_blocks() -> None:
    """Assignment in blocks equals assignment at once, and no frames give no units."""
    rng = np.random.default_rng(0)
    codebook = _codebook(rng.standard_normal((7, 3)))
    frames = rng.standard_normal((2 * BLOCK + 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(codebook.assign(frames, switch_penalty=0), codebook.distances(frames).argmin(axis=1))
    for penalty in (0, 1):
        assert codebook.assign(frames[:0], switch_penalty=penalty).shape == (0,)


def test_a_switch_penalty_removes_jitter() -> None:
    """A single frame that leans to the neighbour is smoothed away, a lasting change is kept."""
    codebook = _codebook(np.array([[0.0], [1.0]]))
    frames = np.array([0, 0, 0.6, 0, 0, 1, 1, 1, 1], dtype=np.float32)[:, None]
    assert codebook.assign(frames, switch_penalty=0).tolist() == [0, 0, 1, 0, 0, 1, 1, 1, 1]
    assert codebook.assign(frames, switch_penalty=0.5).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert codebook.assign(frames, switch_penalty=100).tolist() == [1] * 9


def test_the_penalty_has_the_codebooks_own_scale() -> None:
    """Scaling features and centroids by any factor leaves the smoothed units as they are."""
    rng = np.random.default_rng(1)
    centroids, frames = rng.standard_normal((9, 4)), rng.standard_normal((200, 4)).astype(np.float32)
    small, large = _codebook(centroids), _codebook(64 * centroids)
    assert large.switch_scale == pytest.approx(64**2 * small.switch_scale)
    np.testing.assert_array_equal(
        small.assign(frames, switch_penalty=0.7), large.assign(64 * frames, switch_penalty=0.7)
    )


def test_costs_do_not_drift() -> None:
    """After ten minutes of frames the smoothing still decides as at the start."""
    pattern = np.array([0, 0, 0.6, 0, 0, 1, 1, 1, 1, 0], dtype=np.float32)
    distances = (np.tile(pattern, 3_000)[:, None] - np.array([0, 1], dtype=np.float32)) ** 2
    units = viterbi(distances, penalty=0.5).reshape(-1, 10)
    assert (units == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]).all()


def test_features_of_another_kind_are_refused() -> None:
    """Frames of another dimension name both dimensions and the codebook's features."""
    codebook = Codebook(centroids=np.zeros((2, 4), np.float32), feature="hubert", layer=6, checkpoint="ab" * 32)
    with pytest.raises(UnitError, match=r"shape \(3, 5\).*4 dimensions \(HuBERT layer 6 of checkpoint abababababab\)"):
        codebook.assign(np.zeros((3, 5), np.float32), switch_penalty=0)


def test_a_codebook_survives_its_file(tmp_path: Path) -> None:
    """Loading gives back centroids and origin, and the same codebook always gives the same bytes."""
    centroids = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    written = Codebook(centroids=centroids, feature="hubert", layer=9, checkpoint="f" * 64, smoothing=1)
    contents = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        written.save(path)
        contents.add(path.read_bytes())
        read = Codebook.load(path)
        np.testing.assert_array_equal(read.centroids, centroids)
        assert (read.feature, read.layer, read.checkpoint, read.smoothing) == ("hubert", 9, "f" * 64, 1)
    assert len(contents) == 1


def test_what_is_no_codebook_is_refused(tmp_path: Path) -> None:
    """A missing file, a file of another kind and safetensors without origin give one clear error."""
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weights": np.zeros(2, np.float32)}, foreign)
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("missing", "text", "foreign"):
        with pytest.raises(UnitError, match=rf"{name}\.safetensors: expected a codebook"):
            Codebook.load(tmp_path / f"{name}.safetensors")
