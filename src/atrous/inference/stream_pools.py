"""Pools, pads and slices on a part of the streamed axis."""

import torch
from torch import Tensor
from torch.nn import functional

from atrous.errors import GeometryError
from atrous.geometry.axis import Window, fold
from atrous.inference.stream_windows import Call, Cells, Local, read, window_of, window_outputs

_MAX_POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVG_POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def max_pool(call: Call) -> Local:
    """max_pool1d, 2d, 3d: what lies beyond the ends is smaller than everything."""
    axis, a, rank = window_of(call.axis), call.arguments, _rank(call)
    kernels = call.per_axis("kernel_size", rank)
    strides = call.per_axis("stride", rank) if a.get("stride") else kernels
    padding, dilations = call.per_axis("padding", rank), call.per_axis("dilation", rank)
    ceil_mode = bool(a["ceil_mode"])
    padding[call.dim - 2] = 0

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        x = read(cells, axis, start, stop, value=float("-inf"))
        return _MAX_POOLS[rank](x, kernels, strides, padding, dilations, ceil_mode)

    return Local(axis, lambda size: window_outputs(axis, size, ceil_mode=ceil_mode), run)


def avg_pool(call: Call) -> Local:
    """avg_pool1d, 2d, 3d; windows at an end divide by the cells that count there."""
    axis, a, rank = window_of(call.axis), call.arguments, _rank(call)
    kernels = call.per_axis("kernel_size", rank)
    strides = call.per_axis("stride", rank) if a.get("stride") else kernels
    padding, ceil_mode = call.per_axis("padding", rank), bool(a["ceil_mode"])
    padding[call.dim - 2] = 0
    divisor = a.get("divisor_override")
    divisors = [] if rank == 1 else [divisor]

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        x = read(cells, axis, start, stop, value=0.0)
        pooled = _AVG_POOLS[rank](x, kernels, strides, padding, ceil_mode, a["count_include_pad"], *divisors)
        counted = torch.tensor(
            [
                _counted(axis, output, cells.size, with_padding=a["count_include_pad"])
                for output in range(start, stop)
            ]
        )
        if divisor or bool((counted == axis.kernel_size).all()):
            return pooled
        factors = (axis.kernel_size / counted.double()).to(pooled)
        return pooled * factors.view(-1, *[1] * (pooled.ndim - 1 - call.dim))

    return Local(axis, lambda size: window_outputs(axis, size, ceil_mode=ceil_mode), run)


def pad(call: Call) -> Local:
    """pad, constant_pad_nd, reflection_pad, replication_pad; negative amounts crop."""
    axis, a = window_of(call.axis), call.arguments
    if axis.beyond == "circular" and any(axis.padding):
        raise GeometryError(
            "circular padding puts the end of the axis before its start; pad by reflection or zeros"
        )
    amounts = list(a["pad"] if "pad" in a else a["padding"])
    mode = {"reflect": "reflect", "replicate": "replicate", "circular": "circular"}.get(
        axis.beyond, "constant"
    )
    own = 2 * (len(call.shape) - 1 - call.dim)
    amounts[own : own + 2] = [0, 0]
    value = a.get("value") or 0.0

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        positions = torch.arange(start, stop).numpy() - axis.padding[0]
        if axis.beyond == "nothing":
            part = cells.padded(int(positions[0]), int(positions[-1]) + 1, value)
        else:
            folded, _ = fold(positions, cells.stop, axis.beyond)  # the end, where it matters
            index = torch.from_numpy(folded - cells.first).to(cells.values.device)
            part = cells.values.index_select(call.dim, index)
        if not any(amounts):
            return part
        return functional.pad(part, amounts, mode, value if mode == "constant" else None)

    return Local(axis, lambda size: size + sum(axis.padding), run)


def slice_axis(call: Call) -> Local:
    """Every step-th cell from a start on."""
    a = call.arguments
    step, asked = int(a["step"]), slice(a["start"], a["end"], int(a["step"]))
    axis = Window(stride=step, padding=call.axis.padding if isinstance(call.axis, Window) else (0, 0))

    def run(cells: Cells, start: int, stop: int) -> Tensor:
        first = step * start - axis.padding[0]
        part = cells.between(first, first + step * (stop - start - 1) + 1)
        return part[(slice(None),) * call.dim + (slice(None, None, step),)]

    return Local(axis, lambda size: len(range(size)[asked]), run)


def _counted(axis: Window, output: int, size: int | None, *, with_padding: bool) -> int:
    """Cells that an average divides by, along the axis."""
    first = axis.stride * output - axis.padding[0]
    stop = first + axis.kernel_size
    if size is not None:
        stop = min(stop, size + (axis.padding[1] if with_padding else 0))
    return stop - (first if with_padding else max(first, 0))


def _rank(call: Call) -> int:
    return int(call.operator.split("pool")[1][0])
