import torch
from torch import nn

from atrous.layers.pyramid import PyramidPooling
from atrous.ops.resample import upsample_logits


@torch.no_grad()
def test_pyramid_gives_every_cell_the_interpolated_means_of_its_bins():
    torch.manual_seed(0)
    pyramid = PyramidPooling(4, (1, 3)).double().eval()
    features = torch.randn(1, 4, 7, 5, dtype=torch.float64)
    result = pyramid(features)
    assert result.shape[1] == pyramid.channels == 4 + 2 + 2
    torch.testing.assert_close(result[:, :4], features)
    for grid, side, found in zip(pyramid.grids, (1, 3), (result[:, 4:6], result[:, 6:8]), strict=True):
        means = torch.empty(1, 4, side, side, dtype=torch.float64)
        for row in range(side):
            for column in range(side):
                top, bottom = row * 7 // side, -(-(row + 1) * 7 // side)
                left, right = column * 5 // side, -(-(column + 1) * 5 // side)
                means[..., row, column] = features[..., top:bottom, left:right].mean((2, 3))
        assert isinstance(grid, nn.Sequential)
        reduced = grid[1:](means)
        expected = upsample_logits(reduced, (7, 5), stride=1, center=0, mode="half_pixel")
        torch.testing.assert_close(found, expected)
