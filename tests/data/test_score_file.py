import numpy as np
import pytest

from atrous.data.score_file import read_logits, write_probabilities
from atrous.errors import DataError


def probabilities(num_classes=5):
    scores = np.random.default_rng(0).normal(0, 4, (num_classes, 6, 7))
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(0)


@pytest.mark.parametrize("num_classes", [1, 5, 255])
def test_probabilities_come_back_as_their_logarithms(tmp_path, num_classes):
    truth = probabilities(num_classes)
    write_probabilities(tmp_path / "scores.npz", truth)
    logits = read_logits(tmp_path / "scores.npz")
    assert logits.dtype == np.float32
    np.testing.assert_allclose(np.exp(logits), truth, atol=5e-4)


def test_a_zero_counts_as_half_of_the_least_number(tmp_path):
    ones = np.zeros((2, 3, 4), np.float16)
    ones[0] = 1
    np.savez(tmp_path / "scores.npz", probabilities=ones)
    logits = read_logits(tmp_path / "scores.npz")
    np.testing.assert_allclose(logits[1], np.log(2.0**-25), rtol=1e-6)
    for dtype in (np.float32, np.float64):
        np.savez(tmp_path / "scores.npz", probabilities=ones.astype(dtype))
        assert np.isfinite(read_logits(tmp_path / "scores.npz")).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_logits_come_back_as_they_are(tmp_path, dtype):
    logits = np.random.default_rng(0).normal(0, 4, (3, 4, 5)).astype(dtype)
    np.savez_compressed(tmp_path / "scores.npz", logits=logits, other=np.zeros(3))
    assert np.array_equal(read_logits(tmp_path / "scores.npz"), logits.astype(np.float32))


GOOD = np.full((2, 3, 4), 0.5, np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "holds nothing; store either"),
        ({"scores": GOOD}, "holds scores; store either"),
        ({"logits": GOOD, "probabilities": GOOD}, "holds logits, probabilities; store either"),
        ({"logits": GOOD[0]}, r"type float32 and shape \(3, 4\); store floats \(k, h, w\)"),
        ({"logits": GOOD.astype(int)}, "type int64"),
        ({"logits": GOOD[:, :0]}, r"shape \(2, 0, 4\)"),
        ({"logits": GOOD * np.inf}, "not finite"),
        ({"logits": np.array([[["a"]]], object)}, "cannot be read"),
        ({"probabilities": GOOD * 2}, "sum to 2 to 2 over the classes"),
        ({"probabilities": GOOD - [[[0.6]], [[-0.6]]]}, "probabilities from -0.1 on"),
    ],
)
def test_what_are_no_scores_is_refused(tmp_path, arrays, message):
    with np.errstate(all="ignore"):
        np.savez(tmp_path / "scores.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_logits(tmp_path / "scores.npz")


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "scores.npz"
    with pytest.raises(DataError, match=r"no scores at .*--save-probabilities"):
        read_logits(path)
    np.save(tmp_path / "array.npy", GOOD)
    with pytest.raises(DataError, match="one array without a name; store either"):
        read_logits(tmp_path / "array.npy")
    for content in (b"", b"hello", b"\x93NUMPY", b"PK\x03\x04" + bytes(50)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as an npz of scores"):
            read_logits(path)
    np.savez(path, logits=GOOD)
    whole = path.read_bytes()
    for end in range(1, len(whole), 37):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"scores\.npz"):
            read_logits(path)
