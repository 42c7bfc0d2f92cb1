import pytest
import torch

from atrous.geometry.gridding import find_gridding
from atrous.inference.stream import Stream
from atrous.models.dilated_attention import DILATIONS, attention_head
from inference.streaming import assert_same


@pytest.mark.slow
def test_head_sees_65_cells_without_gridding():
    with torch.device("meta"):
        head = attention_head(64, 3).eval()
    assert head.cells == 65
    features = torch.zeros(1, 64, 16, 16, device="meta")
    assert find_gridding(head, features) is None
    before = find_gridding(head, features, layer=str(2 + len(DILATIONS) - 1))  # without the undilated one
    assert before is not None
    assert before.grids == (2, 2)


@pytest.mark.slow
def test_streamed_head_is_the_head():
    torch.manual_seed(0)
    head = attention_head(8, 3).double().eval()
    features = torch.randn(1, 8, 40, 6, dtype=torch.float64)
    assert_same(head, Stream(head, features), features, [7, 1, 12])
