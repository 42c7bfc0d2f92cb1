"""The upsamplers against their slow definition, against torch where torch has them, and against geometry."""

from itertools import product

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim
from torch.nn import functional

from atrous.errors import ConfigError, ShapeError
from atrous.ops.resample import upsample_logits

MODES = ("centered", "half_pixel", "origin", "corners")


def source(mode, pixel, cells, pixels, stride, center):
    """The cell coordinate that a pixel reads, written a second time from the definition."""
    coordinate = {
        "centered": (pixel - center) / stride,
        "half_pixel": (pixel + 0.5) * cells / pixels - 0.5,
        "origin": pixel / stride,
        "corners": pixel * (cells - 1) / (pixels - 1) if pixels > 1 else 0.0,
    }[mode]
    return min(max(coordinate, 0.0), cells - 1.0)


def upsample_by_definition(logits, size, stride, center, mode):
    """Pixel by pixel: the cells around the source coordinate, each weighted by its nearness."""
    cells = logits.shape[2:]
    result = np.zeros((*logits.shape[:2], *size))
    for pixel in np.ndindex(*size):
        coordinates = [source(mode, *axis) for axis in zip(pixel, cells, size, stride, center, strict=True)]
        corners = [
            (int(np.floor(u)), min(int(np.floor(u)) + 1, n - 1))
            for u, n in zip(coordinates, cells, strict=True)
        ]
        for sides in product((0, 1), repeat=len(size)):
            weight, cell = 1.0, []
            for u, corner, side in zip(coordinates, corners, sides, strict=True):
                fraction = u - np.floor(u)
                weight *= fraction if side else 1 - fraction
                cell.append(corner[side])
            result[..., *pixel] += weight * logits[..., *cell]
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("cells", "size", "stride", "center"),
    [
        ((7,), (50,), (8,), (3.5,)),
        ((1,), (5,), (8,), (0,)),
        ((5, 4), (37, 30), (8, 8), (3.5, 3.5)),
        ((4, 6), (13, 48), (4, 8), (0, 11.25)),
        ((3, 1), (1, 9), (2, 3), (-1, 1)),
        ((6, 5), (4, 3), (1, 2), (0, 0)),
        ((3, 2, 4), (6, 5, 9), (2, 3, 2), (0.5, 1, 0)),
    ],
)
def test_upsample_logits_is_its_definition(mode, cells, size, stride, center):
    logits = torch.randn(2, 3, *cells, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    upsampled = upsample_logits(logits, size, stride=stride, center=center, mode=mode)
    expected = upsample_by_definition(logits.numpy(), size, stride, center, mode)
    np.testing.assert_allclose(upsampled, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("mode", "align_corners"), [("half_pixel", False), ("corners", True)])
@settings(deadline=None)
@given(
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
def test_half_pixel_and_corners_are_torch_interpolate(mode, align_corners, cells, size):
    logits = torch.randn(1, 2, *cells, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    upsampled = upsample_logits(logits, size, stride=8, center=3.5, mode=mode)
    expected = functional.interpolate(logits, size, mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(upsampled, expected, rtol=0, atol=1e-12)


@settings(deadline=None)
@given(cells=st.integers(1, 9), stride=st.integers(1, 16))
def test_centered_is_half_pixel_where_the_cells_tile_the_image(cells, stride):
    logits = torch.randn(1, 2, cells, cells, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    geometry = {"size": (cells * stride,) * 2, "stride": stride, "center": (stride - 1) / 2}
    centered = upsample_logits(logits, mode="centered", **geometry)
    half_pixel = upsample_logits(logits, mode="half_pixel", **geometry)
    torch.testing.assert_close(centered, half_pixel, rtol=0, atol=1e-12)


def test_half_pixel_is_the_cityscapes_deconvolution_in_the_interior():
    """FACTS 4: ctx_upsample, a frozen bilinear transposed convolution, kernel 16, stride 8, padding 4."""
    logits = torch.randn(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hat = 1 - (torch.arange(16, dtype=torch.float64) - 7.5).abs() / 8
    expected = functional.conv_transpose2d(logits, torch.outer(hat, hat)[None, None], stride=8, padding=4)
    upsampled = upsample_logits(logits, (48, 48), stride=8, center=3.5, mode="half_pixel")
    interior = np.s_[..., 4:-4, 4:-4]  # at the border the transposed convolution reads zeros
    torch.testing.assert_close(upsampled[interior], expected[interior], rtol=0, atol=1e-12)


def affine(y, x):
    return (3 * y[:, None] - 2 * x + 5)[None, None]


@pytest.mark.parametrize("stride", [1, 2, 8, 32])
@pytest.mark.parametrize("center", [0, 3.5, -2, 11.25])
def test_centered_leaves_every_value_where_the_network_saw_it(stride, center):
    """An affine image sampled at the centers of its cells comes back exactly between the outermost ones."""
    rows, columns = center + stride * torch.arange(5.0), center + stride * torch.arange(6.0)
    size = (5 * stride + 13, 6 * stride + 11)
    upsampled = upsample_logits(affine(rows, columns), size, stride=stride, center=center)
    y, x = torch.arange(float(size[0])), torch.arange(float(size[1]))
    inside = ((y >= rows[0]) & (y <= rows[-1]))[:, None] & (x >= columns[0]) & (x <= columns[-1])
    assert inside.any()
    assert torch.equal(upsampled[..., inside], affine(y, x)[..., inside])


@pytest.mark.parametrize("mode", MODES)
def test_upsample_logits_stays_within_the_values_of_the_cells(mode):
    """Nothing outside is read: the released zoom reads past the last row and column (FACTS 5)."""
    logits = 10 + torch.rand(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    upsampled = upsample_logits(logits, (40, 57), stride=8, center=3.5, mode=mode)
    assert upsampled.min() >= logits.min() - 1e-5
    assert upsampled.max() <= logits.max() + 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_upsampled_probabilities_sum_to_one(mode):
    probabilities = torch.randn(1, 5, 6, 7, dtype=torch.float64).softmax(dim=1)
    upsampled = upsample_logits(probabilities, (45, 53), stride=8, center=3.5, mode=mode)
    torch.testing.assert_close(upsampled.sum(dim=1), torch.ones(1, 45, 53, dtype=torch.float64))


@pytest.mark.parametrize("mode", MODES)
def test_upsample_logits_has_the_right_gradient(mode):
    logits = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda cells: upsample_logits(cells, (7, 9), stride=4, center=1.5, mode=mode), logits
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_upsample_logits_keeps_the_dtype_and_its_precision(dtype, autocast):
    logits = torch.randn(1, 3, 40, 50, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        upsampled = upsample_logits(logits, (318, 400), stride=8, center=3.5)
    exact = upsample_logits(logits.double(), (318, 400), stride=8, center=3.5)
    assert upsampled.dtype == dtype
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(upsampled.double(), exact, rtol=0, atol=tolerance * float(logits.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_upsample_logits_exports_with_dynamic_height_and_width(mode, monkeypatch):
    class Pool(torch.nn.Module):
        def forward(self, images):
            cells = functional.avg_pool2d(images, 8, stride=8, padding=4)
            return upsample_logits(cells, images.shape[2:], stride=8, center=-0.5, mode=mode)

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # a symbolic size is no int
    program = torch.export.export(
        Pool(), (torch.rand(1, 3, 24, 40),), dynamic_shapes=({2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
    )
    operators = {str(node.target) for node in program.graph.nodes}
    assert not any("autocast" in operator for operator in operators)
    for height, width in [(24, 40), (61, 17), (9, 100)]:
        images = torch.rand(1, 3, height, width)
        torch.testing.assert_close(program.module()(images), Pool()(images))


def test_upsample_logits_refuses_an_unknown_mode():
    with pytest.raises(
        ConfigError, match=r"no upsampler 'bicubic'; take one of centered, half_pixel, origin, co"
    ):
        upsample_logits(torch.zeros(1, 1, 2, 2), (4, 4), stride=2, center=0.5, mode="bicubic")


@pytest.mark.parametrize("stride", [0, -8, (8, 0)])
def test_upsample_logits_refuses_a_stride_that_is_not_positive(stride):
    with pytest.raises(ConfigError, match=r"stride .* is not positive; give the pixels between two cells"):
        upsample_logits(torch.zeros(1, 1, 2, 2), (4, 4), stride=stride, center=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (4,)}, r"size \(4,\) for 2 spatial axes"),
        ({"stride": (2, 2, 2)}, r"stride \(2, 2, 2\) for 2 spatial axes"),
        ({"center": [0.5]}, r"center \(0.5,\) for 2 spatial axes; give one number an axis"),
        ({"size": (4, 0)}, r"cannot upsample \(2, 2\) cells to \(4, 0\) pixels; no side may be empty"),
    ],
)
def test_upsample_logits_refuses_numbers_that_do_not_fit_the_axes(wrong, message):
    with pytest.raises(ShapeError, match=message):
        upsample_logits(torch.zeros(1, 1, 2, 2), **({"size": (4, 4), "stride": 2, "center": 0.5} | wrong))
