"""What becomes of each module that reads along an axis: a dilated convolution or pool, or a run in phases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from atrous.errors import GeometryError
from atrous.geometry.axis import Window, same_padding
from atrous.geometry.graph import Node
from atrous.geometry.trace import trace
from atrous.surgery.changes import Change, Dilate, Drop, Edit, Pool, Widen, in_words, per_axis
from atrous.surgery.windows import DenseAxis

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_AVG_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_PADS = (
    nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d, nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Called:
    """A module, the spatial operators of its calls, and the spread before and after them, one pair an axis."""

    path: str
    module: nn.Module
    nodes: tuple[Node, ...]
    spread: tuple[tuple[int, int], ...]

    @property
    def is_removed(self) -> bool:
        """Whether a stride is taken out of it."""
        return any(after > before for before, after in self.spread)


def is_layer(module: nn.Module) -> bool:
    """Whether a module is a convolution, pool or constant padding, which is dilated itself."""
    return isinstance(module, (*_CONVOLUTIONS, *_MAX_POOLS, *_AVG_POOLS, *_PADS))


def edit_of(called: Called, *, pools: str) -> Edit | None:
    """The edit of a convolution, pool or padding module; None if it is none, or one that pads its own way."""
    module = called.module
    if isinstance(module, _CONVOLUTIONS):
        return _convolution(called, module)
    if isinstance(module, (*_MAX_POOLS, *_AVG_POOLS)):
        return _pool(called, module, drop=pools == "drop")
    if isinstance(module, _PADS):
        widen = Widen(tuple(before for before, _ in called.spread))
        old = module.padding
        return Edit(called.path, f"padding {in_words(old)} -> {in_words(widen.dense(old))}", widen)
    return None


def _convolution(called: Called, module: Any) -> Edit | None:
    axes = _axes(called, module.padding, dilation=module.dilation)
    if axes is None:
        return None
    if module.padding_mode != "zeros" and any(before > 1 for before, _ in called.spread):
        return None
    if any(axis.rounding == "same" and axis.spread != (1, 1) and axis.dense_stride > 1 for axis in axes):
        return None
    change = Dilate(axes)
    return Edit(called.path, _change_in_words(axes, module), change)


def _pool(called: Called, module: Any, *, drop: bool) -> Edit | None:
    is_max = isinstance(module, _MAX_POOLS)
    axes = _axes(called, module.padding, dilation=module.dilation if is_max else 1)
    if axes is None or getattr(module, "return_indices", False):
        return None
    change: Change
    if drop and called.is_removed and all(axis.dense_stride == 1 for axis in axes):
        return Edit(called.path, f"{type(module).__name__} dropped", Drop())
    if is_max:
        change = Pool(axes, is_max=True)
    else:
        is_same = any(axis.rounding == "same" for axis in axes)
        divisor = getattr(module, "divisor_override", None)
        change = Pool(axes, False, module.count_include_pad or is_same, divisor)
    return Edit(called.path, _change_in_words(axes, module), change)


def _axes(called: Called, padding: Any, *, dilation: Any) -> tuple[DenseAxis, ...] | None:
    """The windows of a convolution or pool module; None if its operators are not those of its numbers."""
    module: Any = called.module
    rank = len(called.spread)
    windows = [node for node in called.nodes if "pad" not in node.operator]
    if not windows or len({node.axes for node in windows}) > 1:
        return None
    kernel = per_axis(module.kernel_size, rank)
    stride = per_axis(module.stride, rank)
    spacing = per_axis(dilation, rank)
    if any(
        not isinstance(axis, Window) or (axis.kernel_size, axis.stride, axis.dilation) != numbers
        for axis, numbers in zip(windows[0].axes, zip(kernel, stride, spacing, strict=True), strict=True)
    ):
        return None
    pads_itself = len(windows) < len(called.nodes) and getattr(module, "padding_mode", "zeros") == "zeros"
    if pads_itself and not _pads_same(module, called.nodes, kernel, stride, spacing):
        return None
    rounding = "same" if pads_itself else "ceil" if getattr(module, "ceil_mode", False) else "floor"
    return tuple(
        DenseAxis(*numbers, _pair(zeros, numbers[0], numbers[2]), spread, rounding)
        for *numbers, zeros, spread in zip(
            kernel, stride, spacing, _zeros(padding, rank), called.spread, strict=True
        )
    )


def _pads_same(
    module: Any, nodes: Sequence[Node], kernel: Sequence[int], stride: Sequence[int], spacing: Sequence[int]
) -> bool:
    """Whether a module's own padding is TensorFlow's SAME, for this size and one that is larger by one."""
    axes = [DenseAxis(k, s, d, rounding="same") for k, s, d in zip(kernel, stride, spacing, strict=True)]
    channels = getattr(module, "in_channels", 1)
    weight = next(iter(module.parameters()), torch.zeros(()))
    first = next(node for node in nodes if "pad" in node.operator)
    sizes = [axis.padding for axis in first.axes if isinstance(axis, Window)]
    shape = [size - sum(pair) for size, pair in zip(first.size, sizes, strict=True)]
    for longer in (0, 1):
        size = [cells + longer for cells in shape]
        try:
            graph = trace(module, torch.zeros(1, channels, *size, device=weight.device, dtype=weight.dtype))
        except GeometryError:
            return False
        padded = [
            [axis.padding for axis in node.axes if isinstance(axis, Window)]
            for node in graph
            if node.axes and not node.operator == "input" and node.is_map
        ]
        total = [tuple(map(sum, zip(*pairs, strict=True))) for pairs in zip(*padded, strict=True)]
        if total != [axis.original_padding(cells) for axis, cells in zip(axes, size, strict=True)]:
            return False
    return True


def _zeros(padding: Any, rank: int) -> tuple[int | str, ...]:
    return (padding,) * rank if isinstance(padding, str) else per_axis(padding, rank)


def _pair(zeros: int | str, kernel_size: int, dilation: int) -> tuple[int, int]:
    match zeros:
        case "same":
            return same_padding(kernel_size, dilation)
        case int():
            return zeros, zeros
        case _:
            return 0, 0


def _change_in_words(axes: Sequence[DenseAxis], module: Any) -> str:
    """`stride 2 -> 1, padding 1 -> 2`; what stays is left out."""
    rank = len(axes)
    changes = [
        ("stride", per_axis(module.stride, rank), tuple(axis.dense_stride for axis in axes)),
        (
            "dilation",
            per_axis(getattr(module, "dilation", 1), rank),
            tuple(axis.dense_dilation for axis in axes),
        ),
    ]
    if all(axis.rounding != "same" for axis in axes):
        before = tuple(axis.padding for axis in axes)
        changes.append(("padding", before, tuple(axis.dense_padding for axis in axes)))
    words = [f"{name} {in_words(old)} -> {in_words(new)}" for name, old, new in changes if old != new]
    return ", ".join(words) or "its end fitted to the size"
