"""Rescaling by a fraction against numpy's interpolation."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from atrous.layers.rescale import rescale


@pytest.mark.parametrize("factor", [Fraction(3, 4), Fraction(1, 2), Fraction(4, 3), Fraction(2)])
@pytest.mark.parametrize("sides", [(1, 5), (8, 9), (10, 15)])
def test_each_cell_reads_its_place_in_the_old_grid(factor, sides):
    height, width = sides
    features = torch.randn(1, 2, height, width, dtype=torch.float64)
    rescaled = rescale(features, factor)
    places = [np.arange(made) / float(factor) for made in rescaled.shape[2:]]
    expected = np.array(
        [
            [np.interp(places[0], range(height), column) for column in np.transpose(channel)]
            for channel in features[0].numpy()
        ]
    )  # (c, w, made rows)
    expected = np.array(
        [[np.interp(places[1], range(width), row) for row in channel.T] for channel in expected]
    )
    assert places[0][-1] > height - 1  # all old cells lie within the new ones
    assert places[1][-1] > width - 1
    torch.testing.assert_close(rescaled[0], torch.from_numpy(expected))
