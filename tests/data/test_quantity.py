import numpy as np
import pytest

from atrous.data.labels import LabelSet
from atrous.data.meaning import meaning_of
from atrous.data.quantity import DEPTH, FLOW
from atrous.errors import CheckpointError


@pytest.mark.parametrize("meaning", [DEPTH, FLOW, LabelSet(("a", "b"))])
def test_what_outputs_mean_survives_a_checkpoint(meaning):
    assert meaning_of(meaning.to_dict()) == meaning


def test_a_quantity_stands_where_classes_do():
    assert LabelSet.from_dict(FLOW.to_dict()).names == ("u", "v")
    assert DEPTH.to_dict()["task"] == "regression"
    assert (DEPTH.in_channels, FLOW.in_channels) == (3, 6)


@pytest.mark.parametrize("stored", [{"kind": "heat", "unit": "K"}, {"kind": "depth"}, "depth"])
def test_an_unknown_quantity_is_refused(stored):
    with pytest.raises(CheckpointError, match=r"this atrous knows depth, flow; upgrade atrous"):
        meaning_of({"names": ["x"], "palette": [], "quantity": stored})


def test_what_cannot_be_is_not_measured():
    depth = np.array([[[1, 0, -1, np.inf, np.nan]]], np.float32)
    np.testing.assert_array_equal(DEPTH.cleaned(depth), [[[1, *[np.nan] * 4]]])
    flow = np.array([[[0, -1, np.inf]], [[0, 1, 1]]], np.float32)
    np.testing.assert_array_equal(FLOW.cleaned(flow), [[[0, -1, np.nan]], [[0, 1, np.nan]]])
