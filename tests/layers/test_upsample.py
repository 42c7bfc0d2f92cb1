"""The frozen transposed convolution against interpolation, and against its definition."""

import pytest
import torch

from atrous.errors import ConfigError
from atrous.layers.upsample import BilinearUpsampling, LearnedDoubling
from atrous.layers.upsample_features import upsample_features
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


@pytest.mark.parametrize("shift", [0.0, -0.5])
@pytest.mark.parametrize("size", [(1, 1), (6, 9), (7, 10)])
def test_fresh_doubling_interpolates_up_to_the_border(shift, size):  # Long et al. 2015, section 3.3
    coarse = torch.randn(2, 3, -(-size[0] // 2), -(-size[1] // 2))
    fine = torch.empty(2, 5, *size)
    doubled = LearnedDoubling(3, shift=shift)(coarse, fine)
    torch.testing.assert_close(doubled, upsample_features(coarse, fine, factor=2, shift=shift))


def test_doubling_learns_every_weight():
    doubling = LearnedDoubling(3, shift=-0.5)
    doubling(torch.randn(2, 3, 4, 4), torch.empty(2, 3, 8, 8)).square().sum().backward()
    assert doubling.conv.weight.grad is not None
    assert (doubling.conv.weight.grad != 0).all()


def test_doubling_refuses_other_shifts():
    with pytest.raises(ConfigError, match=r"a shift of 0.25 cells is not interpolated; give 0 or -0.5"):
        LearnedDoubling(3, shift=0.25)
