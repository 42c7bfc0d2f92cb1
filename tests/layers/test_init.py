"""Initializations against the equations, entry by entry."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atrous.errors import ConfigError, ShapeError
from atrous.layers.init import he_normal_, identity_


def equation_5(conv, num_groups):
    """Yu & Koltun 2016, equation 5 without noise: the kernel as loops."""
    weight = torch.zeros_like(conv.weight)
    rows, columns = conv.kernel_size
    for b in range(conv.out_channels):
        for a in range(conv.in_channels):
            if a * num_groups // conv.in_channels == b * num_groups // conv.out_channels:
                weight[b, a, rows // 2, columns // 2] = num_groups / conv.out_channels
    return weight


@given(
    num_groups=st.integers(1, 5),
    wide_in=st.integers(1, 4),
    wide_out=st.integers(1, 4),
    kernel_size=st.sampled_from([1, 3, 5, (1, 3)]),
)
def test_identity_is_equation_5(num_groups, wide_in, wide_out, kernel_size):
    conv = nn.Conv2d(wide_in * num_groups, wide_out * num_groups, kernel_size)
    assert identity_(conv, num_groups=num_groups) is conv
    assert conv.weight.equal(equation_5(conv, num_groups))
    assert conv.bias is not None
    assert not conv.bias.any()


def test_identity_with_as_many_channels_as_classes_is_equation_4():
    conv = identity_(nn.Conv2d(4, 4, 3, padding=1, bias=False), num_groups=4)
    images = torch.randn(2, 4, 5, 6)
    assert conv(images).equal(images)


def test_noise_is_everywhere_but_on_the_taps_that_pass_the_input_on():
    torch.manual_seed(0)
    conv = identity_(nn.Conv2d(20, 40, 3), num_groups=10, noise=0.01)
    exact = equation_5(conv, 10)
    passing = exact > 0
    assert conv.weight[passing].equal(exact[passing])
    noise = conv.weight[~passing]
    assert noise.all()
    assert noise.mean().item() == pytest.approx(0, abs=5 * 0.01 / math.sqrt(noise.numel()))
    assert noise.std().item() == pytest.approx(0.01, rel=0.05)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_identity_keeps_the_weights_trainable():
    conv = identity_(nn.Conv2d(2, 2, 3, padding=1), num_groups=2, noise=0.1)
    conv(torch.randn(1, 2, 4, 4)).sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.all()


@pytest.mark.parametrize("kernel_size", [2, 4, (3, 2)])
def test_identity_refuses_a_kernel_without_a_center(kernel_size):
    with pytest.raises(ShapeError, match="has no center tap; identity needs odd sides"):
        identity_(nn.Conv2d(2, 2, kernel_size), num_groups=2)


@pytest.mark.parametrize("conv", [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3), nn.Conv2d(4, 4, 3, groups=2)])
def test_identity_refuses_channels_that_do_not_divide_into_classes(conv):
    before = conv.weight.detach().clone()
    with pytest.raises(ShapeError, match="do not divide into 2 classes; use multiples of 2 and one group"):
        identity_(conv, num_groups=2)
    assert conv.weight.equal(before)


def test_identity_refuses_negative_noise():
    with pytest.raises(ConfigError, match=r"noise -0\.1 is a standard deviation; give 0 or more"):
        identity_(nn.Conv2d(2, 2, 3), num_groups=2, noise=-0.1)


@pytest.mark.parametrize("bias", [True, False])
def test_he_normal_has_variance_two_over_fan_in(bias):
    torch.manual_seed(0)
    conv = he_normal_(nn.Conv2d(32, 64, 3, bias=bias))
    assert conv.weight.var().item() == pytest.approx(2 / (32 * 3 * 3), rel=0.05)
    assert conv.weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert conv.bias is None or not conv.bias.any()


def test_he_normal_keeps_the_scale_through_rectified_layers():
    torch.manual_seed(0)
    images = torch.randn(1, 64, 16, 16).relu() * math.sqrt(2)
    for _ in range(5):
        conv = he_normal_(nn.Conv2d(64, 64, 3, padding=1, padding_mode="circular"))
        images = conv(images.relu())
    assert images.pow(2).mean().item() == pytest.approx(2, rel=0.5)
