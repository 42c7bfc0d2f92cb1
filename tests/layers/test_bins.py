import pytest
import torch
from torch import nn

from atrous.layers.bins import BinMeans


@pytest.mark.parametrize("bins", [(1, 1), (2, 3), (6, 6), (7, 2)])
@pytest.mark.parametrize("size", [(6, 6), (13, 9), (2, 31)])
def test_bins_are_those_of_adaptive_pooling(bins, size):
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(BinMeans(bins)(features), nn.AdaptiveAvgPool2d(bins)(features))
