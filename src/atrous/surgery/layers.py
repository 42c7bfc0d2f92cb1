"""What becomes of each module that reads along an axis: a dilated convolution or pool, or a run in phases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from atrous.geometry.axis import Window, same_padding
from atrous.geometry.graph import Node
from atrous.surgery.changes import Drop, Edit, Pool, Widen, in_words, per_axis
from atrous.surgery.convolutions import Dilate
from atrous.surgery.same import pads_same
from atrous.surgery.windows import DenseAxis

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_AVG_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_PADS = (
    nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d, nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Called:
    """A module that is called, the operators of its calls that read along an axis, and the spread.

    Attributes:
        path: Of the module.
        module: Itself.
        nodes: Its operators.
        spread: Before and after it, one pair an axis.
    """

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
    axes = _axes(called, padding=module.padding, dilation=module.dilation)
    if axes is None:
        return None
    if module.padding_mode != "zeros" and any(before > 1 for before, _ in called.spread):
        return None
    if any(axis.rounding == "same" and axis.spread != (1, 1) and axis.dense_stride > 1 for axis in axes):
        return None
    return Edit(called.path, _change_in_words(axes, module), Dilate(axes))


def _pool(called: Called, module: Any, *, drop: bool) -> Edit | None:
    is_max = isinstance(module, _MAX_POOLS)
    axes = _axes(called, padding=module.padding, dilation=module.dilation if is_max else 1)
    if axes is None or getattr(module, "return_indices", False):
        return None
    if drop and called.is_removed and all(axis.dense_stride == 1 for axis in axes):
        return Edit(called.path, f"{type(module).__name__} dropped", Drop())
    is_same = any(axis.rounding == "same" for axis in axes)  # its zeros are cells like any others
    change = Pool(
        axes,
        is_max=is_max,
        counts_padding=is_same or getattr(module, "count_include_pad", False),
        divisor=getattr(module, "divisor_override", None),
    )
    return Edit(called.path, _change_in_words(axes, module), change)


def _axes(called: Called, *, padding: Any, dilation: Any) -> tuple[DenseAxis, ...] | None:
    """The windows of a convolution or pool module; None if its operators are not those of its numbers."""
    module: Any = called.module
    rank = len(called.spread)
    if rank != _rank(module):
        return None
    windows = [node for node in called.nodes if "pad" not in node.operator]
    numbers = list(
        zip(*(per_axis(n, rank) for n in (module.kernel_size, module.stride, dilation)), strict=True)
    )
    for node in windows:
        found = [
            isinstance(axis, Window) and (axis.kernel_size, axis.stride, axis.dilation) for axis in node.axes
        ]
        if found != numbers:
            return None
    pads_itself = len(windows) < len(called.nodes) and getattr(module, "padding_mode", "zeros") == "zeros"
    if pads_itself:
        axes = tuple(
            DenseAxis(*own, spread=spread, rounding="same")
            for own, spread in zip(numbers, called.spread, strict=True)
        )
        return axes if pads_same(module, called.nodes, axes) else None
    rounding = "ceil" if getattr(module, "ceil_mode", False) else "floor"
    zeros = (padding,) * rank if isinstance(padding, str) else per_axis(padding, rank)
    return tuple(
        DenseAxis(*own, padding=_pair(word, own), spread=spread, rounding=rounding)
        for own, word, spread in zip(numbers, zeros, called.spread, strict=True)
    )


def _rank(module: nn.Module) -> int:
    """Spatial axes of a layer, which its class has in its name: Conv2d."""
    names = [parent.__name__ for parent in type(module).__mro__ if parent.__module__.startswith("torch.nn")]
    return int(names[0][-2])


def _pair(zeros: int | str, numbers: tuple[int, ...]) -> tuple[int, int]:
    """Cells before and after."""
    if isinstance(zeros, int):
        return zeros, zeros
    kernel_size, _, dilation = numbers
    return same_padding(kernel_size, dilation) if zeros == "same" else (0, 0)


def _change_in_words(axes: Sequence[DenseAxis], module: Any) -> str:
    """`stride 2 -> 1, padding 1 -> 2`; what stays is left out."""
    numbers: dict[str, tuple[Any, Any]] = {
        "stride": ([axis.stride for axis in axes], [axis.dense_stride for axis in axes]),
        "dilation": ([axis.dilation for axis in axes], [axis.dense_dilation for axis in axes]),
    }
    if all(axis.rounding != "same" for axis in axes):
        numbers["padding"] = [axis.padding for axis in axes], [axis.dense_padding for axis in axes]
    changes = [
        f"{name} {in_words(old)} -> {in_words(new)}" for name, (old, new) in numbers.items() if old != new
    ]
    kind = "" if hasattr(module, "weight") else f"dense {type(module).__name__.removesuffix('Same')}: "
    return kind + ", ".join(changes)
