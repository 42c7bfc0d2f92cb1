"""The gradients of a convolution by taps: PyTorch's own, in float64, and as good as oneDNN's in bfloat16."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from atrous.ops.conv_backward import data_gradient, weight_gradient_


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))).to(
        dtype
    )


def gradients_by_taps(grad, x, weight, **layout):
    result = torch.full_like(weight, torch.nan)
    of_weight = weight_gradient_(result, grad, x, **layout)
    assert of_weight is result
    return data_gradient(grad, weight, x.shape[2:], **layout), of_weight


def gradients_of_torch(grad, x, weight, **layout):
    leaves = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
    return torch.autograd.grad(functional.conv2d(*leaves, **layout), leaves, grad)


@st.composite
def layers(draw):
    """Gradient of the output, input, kernel and layout of a small convolution with one output at least."""

    def pair(low, high):
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    kernel, dilation, padding, extra = pair(1, 4), pair(1, 4), pair(0, 9), pair(0, 6)
    size = [
        max(1, d * (k - 1) + 1 - 2 * p + more)
        for k, d, p, more in zip(kernel, dilation, padding, extra, strict=True)
    ]
    x, weight = normal(draw(st.integers(1, 3)), 3, *size), normal(2, 3, *kernel)
    layout = {"padding": padding, "dilation": dilation}
    return normal(*functional.conv2d(x, weight, **layout).shape), x, weight, layout


@given(layers(), st.sampled_from([torch.contiguous_format, torch.channels_last]))
def test_gradients_by_taps_are_those_of_the_plain_convolution(layer, memory_format):
    *operands, layout = layer
    operands = [operand.contiguous(memory_format=memory_format) for operand in operands]
    ours, theirs = gradients_by_taps(*operands, **layout), gradients_of_torch(*operands, **layout)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_tap_that_reads_only_padding_has_no_gradient():
    grad, x, weight = normal(1, 2, 3, 3), normal(1, 3, 3, 3), normal(2, 3, 3, 3)
    _, of_weight = gradients_by_taps(grad, x, weight, padding=(4, 4), dilation=(4, 4))
    assert of_weight.count_nonzero() == 2 * 3  # of the center alone
    assert of_weight[..., 1, 1].all()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradients_keep_type_and_memory_order(memory_format):
    x, weight = normal(2, 4, 6, 6, dtype=torch.bfloat16), normal(5, 4, 3, 3).to(memory_format=memory_format)
    grad = normal(2, 5, 6, 6, dtype=torch.bfloat16)
    layout = {"padding": (2, 2), "dilation": (2, 2)}
    of_x = data_gradient(grad, weight.bfloat16(), (6, 6), **layout)
    of_weight = weight_gradient_(torch.empty_like(weight, dtype=torch.float32), grad, x, **layout)
    assert of_x.dtype == torch.bfloat16
    assert of_x.is_contiguous(memory_format=torch.channels_last)
    assert of_weight.dtype == torch.float32
    assert of_weight.is_contiguous(memory_format=memory_format)


def test_a_gradient_without_memory_of_its_own_is_taken():
    x, weight = normal(2, 4, 5, 5), normal(3, 4, 3, 3)
    layout = {"padding": (1, 1), "dilation": (1, 1)}
    grad = torch.ones((), dtype=torch.float64).expand(2, 3, 5, 5)
    torch.testing.assert_close(
        gradients_by_taps(grad, x, weight, **layout), gradients_of_torch(grad, x, weight, **layout)
    )


@pytest.mark.parametrize(
    ("channels", "kernel_size", "padding", "dilation"),
    [(512, 7, 0, 4), (256, 3, 12, 12), (256, 3, 2, 2), (256, 1, 0, 1)],
    ids=["fc6", "light fc6", "conv5", "fc7"],
)
def test_bfloat16_gradients_are_as_right_as_those_of_torch(channels, kernel_size, padding, dilation):
    """Against float64 on the same rounded numbers; each product of fc6's 49 taps is rounded."""
    x, weight = normal(1, channels, 27, 26), normal(64, channels, kernel_size, kernel_size)
    layout: dict[str, Any] = {"padding": (padding,) * 2, "dilation": (dilation,) * 2}
    grad = normal(*functional.conv2d(x, weight, **layout).shape)
    rounded = [operand.bfloat16() for operand in (grad, x, weight)]
    truth = gradients_of_torch(*[operand.double() for operand in rounded], **layout)
    ours, theirs = gradients_by_taps(*rounded, **layout), gradients_of_torch(*rounded, **layout)
    for exact, own, other in zip(truth, ours, theirs, strict=True):
        assert error(own, exact) < 4e-3
        assert error(own, exact) < 2 * error(other, exact)


def error(value, truth):
    return (value.double() - truth).norm() / truth.norm()
