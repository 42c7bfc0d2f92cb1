"""What each operator of PyTorch reads: its maps along the spatial axes, and the layout of its result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from atrous.errors import GeometryError
from atrous.geometry.axis import AxisMap, Beyond, Global, Transposed, Window, same_padding
from atrous.geometry.layout import Atom, Layout, axes_of, plain_dim


@dataclass(frozen=True, slots=True)
class Call:
    """An operator applied in the exported program.

    Attributes:
        operator: Its name without namespace, overload and trailing underscore.
        arguments: By the names of its schema, defaults filled in.
        layouts: Of the tensors among its arguments that come from the network's input, by argument; a list
            of tensors has its layouts in order.
        shapes: Shapes of its results.
        sizes: Shapes of all tensors among its arguments, by argument.
        rank: Spatial axes of the network.
    """

    operator: str
    arguments: dict[str, Any]
    layouts: dict[str, list[Layout]]
    shapes: tuple[tuple[int, ...], ...]
    sizes: dict[str, list[tuple[int, ...]]]
    rank: int

    @property
    def layout(self) -> Layout:
        """The layout of the first tensor that comes from the input."""
        return next(iter(self.layouts.values()))[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first result."""
        return self.shapes[0]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a call does.

    Attributes:
        layout: Of its result, or of each of its results.
        axes: Maps of the axes that are not pointwise.
    """

    layout: Layout
    axes: dict[int, AxisMap]


Rule = Callable[[Call], Effect]


def windowed(call: Call, maps: Sequence[AxisMap], *, channels: bool = True) -> Effect:
    """An operator with one map for each of the last dimensions."""
    first = len(call.shape) - len(maps)
    layout = call.layout
    is_lost = not axes_of(layout) and len(maps) == call.rank and max(call.shape[first:]) > 1
    if is_lost:  # a map again, made of what had lost its place
        layout = (*layout[:first], *((Atom(0, axis),) for axis in range(call.rank)))
    dims, axes = [], {}
    for place, size in enumerate(call.shape):
        own = axes_of([layout[place]])
        if place < first:
            dims.append(plain_dim(size) if channels and place == first - 1 else layout[place])
        elif len(own) == 1 and sum(atom.size != 1 for atom in layout[place]) <= 1:
            (axis,) = own
            axes[axis] = maps[place - first]
            dims.append((Atom(size, axis),))
        else:  # tokens: both axes in one dimension
            axes |= dict.fromkeys(own, Global(f"{call.operator} over flattened positions"))
            dims.append(plain_dim(size))
    return Effect(tuple(dims), axes)


def convolution(call: Call) -> Effect:
    """conv1d, conv2d, conv3d with numbers or words for padding."""
    kernel = call.sizes["weight"][0][2:]
    stride, dilation = (_per_axis(call.arguments[name], len(kernel)) for name in ("stride", "dilation"))
    match call.arguments["padding"]:
        case "same":
            padding = [same_padding(k, d) for k, d in zip(kernel, dilation, strict=True)]
        case "valid":
            padding = [(0, 0)] * len(kernel)
        case numbers:
            padding = [(p, p) for p in _per_axis(numbers, len(kernel))]
    return windowed(call, [Window(*axis) for axis in zip(kernel, stride, dilation, padding, strict=True)])


def transposed_convolution(call: Call) -> Effect:
    """conv_transpose1d, 2d, 3d."""
    kernel = call.sizes["weight"][0][2:]
    a = call.arguments
    values = (_per_axis(a[name], len(kernel)) for name in ("stride", "dilation", "padding", "output_padding"))
    return windowed(
        call, [Transposed(k, s, d, (p, p - extra)) for k, s, d, p, extra in zip(kernel, *values, strict=True)]
    )


def pool(call: Call) -> Effect:
    """max_pool and avg_pool in all ranks; ceil mode reads the same cells, only more of them."""
    a = call.arguments
    kernel = a["kernel_size"]
    rank = int(call.operator.split("pool")[1][0])
    kernels = _per_axis(kernel, rank)
    strides = _per_axis(a.get("stride") or kernels, rank)
    dilations, paddings = _per_axis(a.get("dilation", 1), rank), _per_axis(a["padding"], rank)
    maps = [Window(k, s, d, (p, p)) for k, s, d, p in zip(kernels, strides, dilations, paddings, strict=True)]
    return windowed(call, maps, channels=False)


def adaptive_pool(call: Call) -> Effect:
    """adaptive_avg_pool and adaptive_max_pool: windows that grow with the input."""
    rank = int(call.operator.split("pool")[1][0])
    dims, gone = list(call.layout), axes_of(call.layout[-rank:])
    for place in range(-rank, 0):
        size = call.shape[place]
        dims[place] = plain_dim(1) if size == 1 else tuple(resized(dims[place], size))
    return Effect(tuple(dims), dict.fromkeys(gone, Global("adaptive pooling")))


def pad(call: Call) -> Effect:
    """pad, constant_pad_nd, reflection_pad, replication_pad; negative padding cuts off."""
    a = call.arguments
    amounts = a["pad"] if "pad" in a else a["padding"]
    words: dict[str, Beyond] = {"reflection": "reflect", "replication": "replicate"}
    mode = words.get(call.operator.split("_")[0]) or a.get("mode", "constant")
    beyond: Beyond = "nothing" if mode == "constant" else mode
    if beyond == "circular" and min(amounts) < 0:
        raise GeometryError(
            f"circular padding by {tuple(amounts)} crops first and wraps the rest; crop and pad in two calls"
        )
    pairs = [(amounts[2 * i], amounts[2 * i + 1]) for i in range(len(amounts) // 2)][::-1]
    return windowed(call, [Window(padding=pair, beyond=beyond) for pair in pairs], channels=False)


def slice_axis(call: Call) -> Effect:
    """slice: every step-th cell from start on; on a dimension without axes it keeps everything in place."""
    a, layout = call.arguments, call.layout
    place = a["dim"] % len(layout)
    size = call.sizes["self"][0][place]
    own = axes_of([layout[place]])
    if not own or call.shape[place] == size:
        return Effect((*layout[:place], resized(layout[place], call.shape[place]), *layout[place + 1 :]), {})
    start, step, count = a["start"] or 0, a["step"], call.shape[place]
    start = max(start + size, 0) if start < 0 else min(start, size)
    if len(own) > 1:
        return Effect(
            (*layout[:place], plain_dim(count), *layout[place + 1 :]),
            dict.fromkeys(own, Global("slice of flattened positions")),
        )
    stop = start + (count - 1) * step + 1
    window = Window(stride=step, padding=(-start, stop - size))
    return Effect(
        (*layout[:place], resized(layout[place], count), *layout[place + 1 :]), {next(iter(own)): window}
    )


def resized(dim: tuple[Atom, ...], size: int) -> tuple[Atom, ...]:
    """A dimension of another size that keeps its axis; one of several axes cannot keep them."""
    own = axes_of([dim])
    return (Atom(size, next(iter(own))),) if len(own) == 1 else plain_dim(size)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    values = tuple(int(v) for v in value) if isinstance(value, Sequence) else (int(value),)
    return values * rank if len(values) == 1 else values
