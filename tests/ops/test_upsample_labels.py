"""Labels straight from cells are those of the upsampled scores, by whatever pieces the cells come."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import ShapeError
from atrous.ops.resample import upsample_logits
from atrous.ops.upsample_labels import LabelUpsampler, upsample_labels


def scores_at(labels: np.ndarray, scores: torch.Tensor) -> torch.Tensor:
    return scores.gather(0, torch.from_numpy(labels.astype(np.int64))[None])[0]


@given(data=st.data())
def test_labels_have_the_largest_upsampled_score(data: st.DataObject):
    classes, stride = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([1, 2, 8, 2.5]))
    cells = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    center = data.draw(st.sampled_from([0.0, 3.5, -1.0]))
    mode = data.draw(st.sampled_from(["centered", "half_pixel", "origin", "corners"]))
    logits = torch.randn(
        classes, *cells, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 9)))
    )
    labels = upsample_labels(logits, size, stride=stride, center=center, mode=mode)
    full = upsample_logits(logits[None].double(), size, stride=stride, center=center, mode=mode)[0]
    assert labels.shape == size
    torch.testing.assert_close(scores_at(labels, full), full.amax(0), rtol=0, atol=1e-5)


@settings(max_examples=30)
@given(pieces=st.lists(st.integers(1, 5), min_size=1, max_size=6), width=st.integers(1, 30))
def test_labels_of_pieces_are_those_of_the_whole(pieces: list[int], width: int):
    rows = sum(pieces)
    logits = torch.randn(4, rows, 5, generator=torch.Generator().manual_seed(rows))
    size = (8 * rows - 3, width)
    whole = upsample_labels(logits, size, stride=8, center=3.5)
    upsampler = LabelUpsampler((rows, 5), size, stride=8, center=3.5)
    parts = [upsampler.push(piece) for piece in logits.split(pieces, 1)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@settings(max_examples=30)
@given(start=st.integers(0, 36), center=st.sampled_from([-1.0, 0.0, 3.5]))
def test_labels_from_a_row_on_are_those_of_the_whole(start: int, center: float):
    logits = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(start))
    whole = upsample_labels(logits, (37, 20), stride=8, center=center)
    upsampler = LabelUpsampler((5, 3), (37, 20), stride=8, center=center, start=start)
    parts = [upsampler.push(logits[:, row : row + 1]) for row in range(upsampler.received, 5)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[start:])


def test_the_first_of_equal_scores_wins():
    labels = upsample_labels(torch.zeros(3, 2, 2), (9, 9), stride=8, center=0)
    assert not labels.any()


def test_more_classes_than_a_byte_counts():
    logits = torch.zeros(300, 2, 2)
    logits[299] = 1
    labels = upsample_labels(logits, (4, 4), stride=2, center=0.5)
    assert (labels == 299).all()


def test_rows_wait_for_the_cells_below_them():
    upsampler = LabelUpsampler((3, 1), (24, 1), stride=8, center=3.5)
    counts = [len(upsampler.push(torch.zeros(2, 1, 1))) for _ in range(3)]
    assert counts == [4, 8, 12]  # pixel 3 lies on cell 0; below it, cell 1 is read


def test_cells_of_another_output_are_refused():
    upsampler = LabelUpsampler((2, 3), (16, 24), stride=8, center=3.5)
    with pytest.raises(ShapeError, match="push each row once"):
        upsampler.push(torch.zeros(2, 3, 3))
    with pytest.raises(ShapeError, match="no side may be empty"):
        LabelUpsampler((0, 3), (16, 24), stride=8, center=3.5)
