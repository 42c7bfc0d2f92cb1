"""Yu & Koltun 2016, section 2: what one dilated layer computes and how far a stack of them sees.

Where arithmetic refutes what is often said about the paper, the truth is tested and the saying quoted.
"""

import pytest
import torch

from atrous.models.context import ContextModule
from atrous.ops.conv import conv, effective_kernel_size, same_padding

EXPONENTIAL = (1, 2, 4, 8, 16, 32, 64)


def inputs_seen(dilations, *, kernel_size=3):
    """How many inputs reach one output of a stack of one-dimensional layers, counted one by one."""
    values = torch.zeros(1, 1, 1 + 2 * sum(dilations) * kernel_size, dtype=torch.float64)
    values[..., values.shape[-1] // 2] = 1
    kernel = torch.ones(1, 1, kernel_size, dtype=torch.float64)
    for dilation in dilations:
        values = conv(values, kernel, dilation=dilation)
    reached = values.flatten().nonzero().flatten()
    return int(reached[-1] - reached[0]) + 1


def test_a_dilated_layer_computes_the_correlation():  # equation 2 writes s + l t = p: the kernel flipped
    signal, kernel = torch.randn(1, 1, 11), torch.randn(1, 1, 3)
    correlation = conv(signal, kernel, dilation=2, padding="valid")[0, 0]
    convolution = conv(signal, kernel.flip(-1), dilation=2, padding="valid")[0, 0]
    for p in range(7):
        by_taps = sum(signal[0, 0, p + 2 * s] * kernel[0, 0, s] for s in range(3))
        torch.testing.assert_close(correlation[p], by_taps)
        flipped = sum(
            signal[0, 0, q] * kernel[0, 0, t] for q in range(11) for t in range(3) if q + 2 * t == p + 4
        )
        torch.testing.assert_close(convolution[p], flipped)


@pytest.mark.parametrize(("kernel_size", "dilation"), [(2, 1), (2, 5), (3, 1), (3, 16), (5, 3), (7, 4)])
def test_one_layer_spans_its_effective_kernel(kernel_size, dilation):
    span = effective_kernel_size(kernel_size, dilation)
    assert span == dilation * (kernel_size - 1) + 1
    assert inputs_seen([dilation], kernel_size=kernel_size) == span


def test_same_padding_is_half_of_what_a_layer_takes_off():
    assert [same_padding(3, dilation) for dilation in EXPONENTIAL] == [(d, d) for d in EXPONENTIAL]
    assert same_padding(7, 4) == (12, 12)
    assert same_padding(2, 1) == (0, 1)  # even kernels: the odd zero after
    assert same_padding(4, 3) == (4, 5)


def test_exponential_dilations_see_exponentially_much():  # section 2, figure 1: 3, 7, 15
    seen = [inputs_seen(EXPONENTIAL[:depth]) for depth in range(1, 7)]
    assert seen == [3, 7, 15, 31, 63, 127] == [2 ** (depth + 1) - 1 for depth in range(1, 7)]


@pytest.mark.parametrize("kernel_size", [2, 3, 5])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_receptive_field_is_one_plus_what_every_layer_adds(kernel_size, depth):
    """Often given as 2^L (k - 1) + 1, which is (k - 1) too many."""
    seen = inputs_seen(EXPONENTIAL[:depth], kernel_size=kernel_size)
    assert seen == 1 + (kernel_size - 1) * (2**depth - 1) == 1 + (kernel_size - 1) * sum(EXPONENTIAL[:depth])
    assert seen == 2**depth * (kernel_size - 1) + 1 - (kernel_size - 1)


def test_seven_layers_see_15_or_255_pixels_with_the_same_parameters():
    assert inputs_seen((1,) * 7) == 15
    assert inputs_seen(EXPONENTIAL) == 255
    standard, dilated = ContextModule(5, dilations=(1,) * 7), ContextModule(5, dilations=EXPONENTIAL)
    assert (standard.receptive_field, dilated.receptive_field) == (15, 255)
    assert [p.shape for p in standard.parameters()] == [p.shape for p in dilated.parameters()]


def test_63_pixels_take_31_standard_layers_or_5_dilated_ones():
    """Often given as 63 layers."""
    assert inputs_seen((1,) * 30) < 63
    assert inputs_seen((1,) * 31) == 63
    assert inputs_seen(EXPONENTIAL[:5]) == 63


def test_dilation_16_spans_33_cells_and_its_stack_sees_65():
    """Often given as a receptive field of 33 after the layer dilated by 16."""
    assert effective_kernel_size(3, 16) == 33
    assert inputs_seen((1, 1, 2, 4, 8, 16)) == 65
