"""The pool that exports, against the one that does not."""

import pytest
import torch
from torch import nn
from torch.export import Dim, export

from atrous.layers.blocks import CeilMaxPool


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (3, 4), (5, 5), (6, 7), (9, 8)])
def test_ceil_max_pool_takes_the_largest_of_each_block_begun(size):
    images = torch.randn(2, 3, *size)
    pooled = CeilMaxPool()(images)
    assert pooled.shape == (2, 3, -(-size[0] // 2), -(-size[1] // 2))
    for row in range(pooled.shape[2]):
        for column in range(pooled.shape[3]):
            block = images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert pooled[:, :, row, column].equal(block.amax((2, 3)))


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (4, 5), (3, 4)])
def test_exported_ceil_max_pool_is_the_same_function(size):
    sides = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = export(CeilMaxPool(), (torch.randn(1, 2, 6, 7),), dynamic_shapes=(sides,)).module()
    images = -torch.rand(1, 2, *size)  # all below zero: a border of zeros would show
    assert program(images).equal(nn.MaxPool2d(2, 2, ceil_mode=True)(images))
    assert program(images).equal(CeilMaxPool()(images))
