"""The frozen transposed convolution against interpolation, and against its definition."""

import pytest
import torch

from atrous.errors import ConfigError
from atrous.layers.upsample import BilinearUpsampling
from atrous.ops.resample import upsample_logits


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampling_interpolates_half_pixel_aligned_inside_the_border(factor):
    logits = torch.randn(2, 3, 5, 7)
    upsampled = BilinearUpsampling(3, factor=factor)(logits)
    size = 5 * factor, 7 * factor
    expected = upsample_logits(logits, size, stride=factor, center=(factor - 1) / 2, mode="half_pixel")
    assert upsampled.shape == expected.shape
    inside = slice(factor // 2, -(factor // 2))
    torch.testing.assert_close(upsampled[..., inside, inside], expected[..., inside, inside])


def test_border_fades_as_zeros_count_beyond_it():
    upsampled = BilinearUpsampling(1, factor=8)(torch.ones(1, 1, 4, 4))
    fading = (
        1 - (torch.arange(4).flip(0) + 0.5) / 8
    )  # the last of 4 px lies half a pixel from the first center
    torch.testing.assert_close(upsampled[0, 0, 16, :4], fading)
    torch.testing.assert_close(upsampled[0, 0, 16, -4:], fading.flip(0))


def test_weights_are_caffes_bilinear_filler():
    weight = BilinearUpsampling(2, factor=8).weight
    assert weight.shape == (2, 1, 16, 16)
    half, center = 8, (2 * 8 - 1 - 8 % 2) / (2 * 8)  # caffe/filler.hpp: f = ceil(k / 2), c
    for row in range(16):
        for column in range(16):
            expected = (1 - abs(row / half - center)) * (1 - abs(column / half - center))
            assert weight[1, 0, row, column].item() == pytest.approx(expected)


def test_upsampling_has_nothing_to_train_and_saves_its_weights():
    layer = BilinearUpsampling(2, factor=4)
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["weight"]
    assert next(layer.buffers()).equal(layer.weight)


@pytest.mark.parametrize("factor", [-2, 0, 1, 3])
def test_upsampling_refuses_a_factor(factor):
    with pytest.raises(ConfigError, match=f"factor {factor} cannot be half-pixel aligned; give an even one"):
        BilinearUpsampling(2, factor=factor)
