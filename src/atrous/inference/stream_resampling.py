"""Interpolation on a part of the streamed axis; along the other axes it is PyTorch's own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.axis import Resample, Window
from atrous.inference.stream_windows import Call, Cells, Local

_CUBIC = -0.75  # PyTorch's coefficient of bicubic interpolation


def interpolation(call: Call) -> Local:
    """upsample_nearest, linear, bilinear, bicubic, trilinear, by factor or by size."""
    axis, a = call.axis, call.arguments
    assert isinstance(axis, Resample)
    rank = len(call.shape) - 2
    own, size = call.dim - 2, a.get("output_size")
    factors = _factors(a, rank)
    target = getattr(torch.ops.aten, call.operator).default
    options = [bool(a["align_corners"])] if "align_corners" in a else []
    scales = [None if number == own else factor for number, factor in enumerate(factors)]

    def across(values: Tensor) -> Tensor:
        """Interpolated along all axes but the streamed one."""
        sizes = list(call.shape[2:])
        sizes[own] = values.shape[call.dim]
        return values if rank == 1 else target(values, sizes, *options, *scales)

    def num_outputs(cells: int) -> int:
        return int(size[own]) if size is not None else int(cells * (factors[own] or 1.0))

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        if axis.reach:
            return _interpolated(across, cells, axis, start, stop)
        size_now = cells.stop if size is None else call.size
        index = (
            _nearest(call.operator, size_now, num_outputs(size_now), factors[own])[start:stop] - cells.first
        )
        return across(cells.values.index_select(call.dim, index.to(cells.values.device)))

    return Local(_bounds(axis), num_outputs, run)


def pixel_shuffle(call: Call) -> Local:
    """Blocks of channels become blocks of cells; whole cells of the input at a time."""
    factor = int(call.arguments["upscale_factor"])

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        first, last = start // factor, -(-stop // factor)
        shuffled = torch.pixel_shuffle(cells.between(first, last), factor)
        return shuffled.narrow(call.dim, start - first * factor, stop - start)

    return Local(call.axis, lambda size: size * factor, run)


def pixel_unshuffle(call: Call) -> Local:
    """Blocks of cells become blocks of channels."""
    factor = int(call.arguments["downscale_factor"])

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        return torch.pixel_unshuffle(cells.between(start * factor, stop * factor), factor)

    assert isinstance(call.axis, Window)
    return Local(call.axis, lambda size: size // factor, run)


def _interpolated(
    across: Callable[[Tensor], Tensor], cells: Cells, axis: Resample, start: int, stop: int
) -> Tensor:
    """Outputs from start up to stop as weighted sums of two (linear) or four (cubic) cells each."""
    outputs = np.arange(start, stop)
    positions = [axis.slope * int(output) + axis.offset for output in outputs]
    if axis.reach == 1:  # PyTorch keeps positions of linear interpolation on the axis
        positions = [max(position, Fraction(0)) for position in positions]
    below = np.array([math.floor(position) for position in positions])
    offset = np.array([float(position - math.floor(position)) for position in positions])
    last = cells.stop - 1
    total = None
    for tap, weights in _taps(offset, axis.reach):
        index = np.clip(below + tap, 0, last) - cells.first
        read = cells.values.index_select(cells.dim, torch.from_numpy(index).to(cells.values.device))
        weight = torch.from_numpy(weights).to(read).view(-1, *[1] * (read.ndim - 1 - cells.dim))
        total = read * weight if total is None else total + read * weight
    assert total is not None
    return across(total)


def _taps(offset: np.ndarray, reach: int) -> list[tuple[int, np.ndarray]]:
    """Neighbors by their distance from the cell below, and the weight of each for every output."""
    if reach == 1:
        return [(0, 1 - offset), (1, offset)]
    return [(tap, _cubic(np.abs(offset - tap))) for tap in (-1, 0, 1, 2)]


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' kernel of cubic convolution."""
    a, x = _CUBIC, distance
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, far)


def _nearest(operator: str, num_cells: int, num_outputs: int, factor: float | None) -> Tensor:
    """The cell that each output copies, with the operator's own rounding."""
    along = getattr(torch.ops.aten, f"{operator[:-2]}1d").default
    positions = torch.arange(num_cells, dtype=torch.float64).view(1, 1, -1)
    return along(positions, [num_outputs], factor)[0, 0].long()


def _bounds(axis: Resample) -> Resample:
    """What may be read: where rounding of the slope decides which cell is nearest, one more on each side."""
    is_exact = axis.reach or axis.slope.denominator & (axis.slope.denominator - 1) == 0
    return axis if is_exact else replace(axis, reach=2)


def _factors(arguments: dict, rank: int) -> Sequence[float | None]:
    """Scale factors as given, None where a size was given."""
    given = arguments.get("scale_factors")
    if given is not None:
        return [float(factor) for factor in given]
    names = ["scales"] if rank == 1 else [f"scales_{name}" for name in "dhw"[-rank:]]
    return [arguments.get(name) for name in names]
