"""Dilated convolution against its defining sum, against torch, and against what its paddings promise."""

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim
from torch.nn import functional

from atrous.errors import ConfigError, ShapeError
from atrous.ops.conv import conv, conv_by_definition, effective_kernel_size, same_padding

TORCH = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@st.composite
def layers(draw):
    """A small convolution in one, two or three dimensions: its operands and its other arguments."""
    rank = draw(st.integers(1, 3))

    def one_an_axis(low, high):
        return draw(st.tuples(*[st.integers(low, high)] * rank))

    kernel, dilation = one_an_axis(1, 4 if rank < 3 else 2), one_an_axis(1, 3)
    padding = draw(st.one_of(st.sampled_from(["same", "valid", "causal"]), st.just(one_an_axis(0, 3))))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    extra = one_an_axis(0, 3)
    size = [
        more + (1 if padding in ("same", "causal") else span) for more, span in zip(extra, spans, strict=True)
    ]
    groups = draw(st.integers(1, 2))
    operands = (
        normal(2, 2 * groups, *size),
        normal(3 * groups, 2, *kernel),
        draw(st.sampled_from([None, normal(3 * groups)])),
    )
    return operands, {"stride": one_an_axis(1, 3), "dilation": dilation, "padding": padding, "groups": groups}


@settings(deadline=None, max_examples=80)
@given(layers())
def test_conv_is_its_defining_sum(layer):
    operands, options = layer
    torch.testing.assert_close(conv(*operands, **options), conv_by_definition(*operands, **options))


def test_the_defining_sum_by_hand():
    x, weight = torch.tensor([[[1.0, 2, 3, 4, 5]]]), torch.tensor([[[10.0, 1]]])
    by_hand = {"valid": [13, 24, 35], "same": [2, 13, 24, 35, 40], "causal": [1, 2, 13, 24, 35]}
    for padding, expected in by_hand.items():
        assert conv_by_definition(x, weight, dilation=2, padding=padding).flatten().tolist() == expected
    assert conv_by_definition(x, weight, torch.tensor([0.5]), stride=2, padding=1).flatten().tolist() == [
        1.5,
        23.5,
        45.5,
    ]


def test_conv_is_the_papers_true_convolution_with_the_kernel_flipped():
    """Yu & Koltun 2016, eq. 2: (F *_l k)(p) = sum over s + l t = p of F(s) k(t)."""
    signal, kernel = np.array([1.0, 4, 2, 8, 5, 7]), np.array([3.0, -1, 2])
    dilated = np.array([3.0, 0, -1, 0, 2])
    flipped = torch.from_numpy(kernel[::-1].copy())[None, None]
    y = conv(torch.from_numpy(signal)[None, None], flipped, dilation=2, padding="valid")
    np.testing.assert_allclose(y[0, 0], np.convolve(signal, dilated, mode="valid"))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dilation", [2, 3])
def test_dilation_is_zeros_between_the_taps(rank, dilation):
    x, weight = normal(1, 2, *[9] * rank), normal(3, 2, *[3] * rank)
    spread = torch.zeros(3, 2, *[effective_kernel_size(3, dilation)] * rank, dtype=torch.float64)
    spread[..., *[slice(None, None, dilation)] * rank] = weight
    torch.testing.assert_close(conv(x, weight, dilation=dilation, padding="valid"), TORCH[rank](x, spread))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_same_is_torch_same_for_odd_kernels(rank, kernel_size, dilation):
    x, weight, bias = normal(2, 4, *[7] * rank), normal(6, 2, *[kernel_size] * rank), normal(6)
    expected = TORCH[rank](x, weight, bias, padding="same", dilation=dilation, groups=2)
    assert torch.equal(conv(x, weight, bias, dilation=dilation, groups=2), expected)


@settings(deadline=None)
@given(
    size=st.integers(1, 40),
    kernel_size=st.integers(1, 9),
    dilation=st.integers(1, 8),
    stride=st.integers(1, 5),
)
def test_same_gives_one_output_for_every_stride_inputs(size, kernel_size, dilation, stride):
    y = conv(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel_size), dilation=dilation, stride=stride)
    assert y.shape[-1] == -(-size // stride)


@settings(deadline=None)
@given(kernel_size=st.integers(1, 12), dilation=st.integers(1, 12))
def test_same_padding_splits_the_span_with_the_odd_zero_after(kernel_size, dilation):
    before, after = same_padding(kernel_size, dilation)
    assert before + 1 + after == effective_kernel_size(kernel_size, dilation)
    assert after - before == dilation * (kernel_size - 1) % 2


@pytest.mark.parametrize(("dilation", "span"), [(1, 3), (2, 5), (4, 9), (8, 17), (16, 33)])
def test_effective_kernel_size_is_the_span_of_one_layer(dilation, span):
    """FACTS 8.6: 33 is the span of the kernel of dilation 16 alone, by what it really reads."""
    assert effective_kernel_size(3, dilation) == span
    x = torch.zeros(1, 1, 41, requires_grad=True)
    conv(x, torch.ones(1, 1, 3), dilation=dilation)[0, 0, 20].backward()
    read = gradient(x).nonzero().flatten()
    assert read[-1] - read[0] + 1 == span
    assert len(read) == 3


@pytest.mark.parametrize("kernel_size", [2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_causal_output_depends_on_no_later_input(kernel_size, dilation, stride):
    for t in range(-(-20 // stride)):
        x = torch.zeros(1, 1, 20, requires_grad=True)
        conv(x, torch.ones(1, 1, kernel_size), dilation=dilation, stride=stride, padding="causal")[
            0, 0, t
        ].backward()
        taps = [stride * t - dilation * s for s in reversed(range(kernel_size))]
        assert gradient(x).nonzero().flatten().tolist() == [tap for tap in taps if tap >= 0]


def gradient(x):
    assert x.grad is not None
    return x.grad[0, 0]


@pytest.mark.parametrize("padding", ["same", "causal", 3])
def test_conv_has_the_gradient_of_its_defining_sum(padding):
    operands = [normal(1, 2, 5, 4), normal(2, 2, 2, 3), normal(2)]
    both = []
    for convolve in (conv, conv_by_definition):
        leaves = [operand.clone().requires_grad_() for operand in operands]
        y = convolve(*leaves, dilation=2, padding=padding)
        both.append(torch.autograd.grad((y * normal(*y.shape)).sum(), leaves))
    torch.testing.assert_close(*both)


def test_conv_keeps_dtype_and_takes_bfloat16():
    x, weight = normal(1, 2, 8, 8).bfloat16(), normal(3, 2, 3, 3).bfloat16()
    y = conv(x, weight, dilation=2)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(
        y.double(), conv(x.double(), weight.double(), dilation=2), rtol=0.01, atol=0.05
    )


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_conv_exports_with_dynamic_height_and_width(padding, monkeypatch):
    class Layer(torch.nn.Module):
        def forward(self, images):
            return conv(images, torch.ones(2, 3, 2, 4), dilation=3, padding=padding)

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # a symbolic size is no int
    program = torch.export.export(
        Layer(), (torch.rand(1, 3, 24, 40),), dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
    ).module()
    for height, width in [(24, 40), (5, 17), (33, 2)]:
        images = torch.rand(1, 3, height, width)
        torch.testing.assert_close(program(images), Layer()(images))


@pytest.mark.parametrize("convolve", [conv, conv_by_definition])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilation": 0}, "dilation 0 is too small; give at least 1"),
        ({"stride": (1, 0)}, r"stride \(1, 0\) is too small; give at least 1"),
        ({"padding": -1}, "padding -1 is too small; give at least 0"),
        ({"padding": "full"}, "padding 'full' is unknown; take 'same', 'valid', 'causal' or numbers"),
        ({"groups": 0}, "6 output channels do not split into 0 groups"),
        ({"groups": 4}, "6 output channels do not split into 4 groups; give a divisor"),
    ],
)
def test_conv_refuses_arguments_that_mean_nothing(convolve, options, message):
    with pytest.raises(ConfigError, match=message):
        convolve(torch.zeros(1, 4, 5, 5), torch.zeros(6, 4, 3, 3), **options)


@pytest.mark.parametrize("convolve", [conv, conv_by_definition])
@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "options", "message"),
    [
        ((1, 4, 5), (6, 4, 3, 3), {}, r"x has 3 axes and weight 4; give x as \(batch, channels, \*spatial\)"),
        (
            (1, 4),
            (6, 4),
            {},
            r"weight has 0 spatial axes; give \(out, in / groups, \*kernel\) with 1, 2 or 3",
        ),
        ((1, 3, 5, 5), (6, 4, 3, 3), {}, "x has 3 channels, weight takes 4 for each of 1 groups; give x 4"),
        ((1, 4, 5, 5), (6, 4, 3, 3), {"groups": 2}, "weight takes 4 for each of 2 groups; give x 8 channels"),
        ((1, 4, 5, 5), (6, 4, 3, 3), {"dilation": (2, 2, 2)}, r"dilation \(2, 2, 2\) for 2 spatial axes"),
        (
            (1, 4, 5, 8),
            (6, 4, 3, 3),
            {"dilation": 3, "padding": "valid"},
            r"kernel \(3, 3\) with dilation \(3, 3\) spans \(7, 7\), more than the padded input \(5, 8\)",
        ),
        ((1, 4, 0), (6, 4, 3), {}, r"spans \(3,\), more than the padded input \(2,\)"),
    ],
)
def test_conv_refuses_shapes_that_do_not_fit(convolve, x_shape, weight_shape, options, message):
    with pytest.raises(ShapeError, match=message):
        convolve(torch.zeros(x_shape), torch.zeros(weight_shape), **options)
