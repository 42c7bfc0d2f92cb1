"""Operators that mix whole dimensions or move them: reductions, products, reshapes, normalization."""

import math
from collections.abc import Sequence

from atrous.geometry.axis import Global
from atrous.geometry.layout import Dim, Layout, axes_of, broadcast, plain_dim, reshape
from atrous.geometry.operators import Call, Effect


def pointwise(call: Call) -> Effect:
    """Elementwise, with broadcasting."""
    layouts = [layout for group in call.layouts.values() for layout in group]
    layout, lost = broadcast(layouts, call.shape)
    return Effect(layout, dict.fromkeys(lost, Global(f"{call.operator} of positions with other positions")))


def same(call: Call) -> Effect:
    """The result lies where the first operand lies."""
    return Effect(call.layout, {})


def reshaped(call: Call) -> Effect:
    """view, flatten, squeeze and their like."""
    layout, broken = reshape(call.layout, call.shape)
    return Effect(layout, dict.fromkeys(broken, Global(f"{call.operator} cuts the axis into pieces")))


def permuted(call: Call) -> Effect:
    """permute, with the new order in `dims`."""
    return Effect(tuple(call.layout[dim] for dim in call.arguments["dims"]), {})


def moved(call: Call) -> Effect:
    """movedim: dimensions at new places, the others in their order."""
    ndim = len(call.layout)
    source, target = (_places(call.arguments[name], ndim) for name in ("source", "destination"))
    order = [dim for dim in range(ndim) if dim not in source]
    for place, dim in sorted(zip(target, source, strict=True)):
        order.insert(place, dim)
    return Effect(tuple(call.layout[dim] for dim in order), {})


def transposed(call: Call) -> Effect:
    """Transpose of two dimensions; of the last two, or of both of a matrix, where none are named."""
    dims = list(call.layout)
    if len(dims) > 1:
        a, b = call.arguments.get("dim0", -2), call.arguments.get("dim1", -1)
        dims[a], dims[b] = dims[b], dims[a]
    return Effect(tuple(dims), {})


def reduced(call: Call) -> Effect:
    """mean, sum, max ... over dimensions, which are then gone."""
    wanted = call.arguments.get("dim")
    ndim = len(call.layout)
    dims = range(ndim) if wanted is None or wanted == [] else _places(wanted, ndim)
    gone = axes_of(call.layout[place] for place in dims)
    if len(call.shape) == ndim:
        layout: Layout = tuple(
            plain_dim(1) if place in set(dims) else dim for place, dim in enumerate(call.layout)
        )
    else:
        layout = tuple(dim for place, dim in enumerate(call.layout) if place not in set(dims))
    return Effect(layout, dict.fromkeys(gone, Global(f"{call.operator} over the axis")))


def mixed_along(call: Call) -> Effect:
    """softmax, cumsum, sort, roll ...: the shape stays, values along `dim` (`dims`) meet."""
    arguments = call.arguments
    wanted = arguments.get("dim", arguments.get("dims", -1))
    places = _places(wanted if wanted != [] else range(len(call.layout)), len(call.layout))
    met = axes_of(call.layout[place] for place in places)
    return Effect(call.layout, dict.fromkeys(met, Global(f"{call.operator} along the axis", direct=True)))


def normalized(call: Call) -> Effect:
    """batch, layer, group and instance normalization; statistics over positions see them all."""
    arguments = call.arguments
    match call.operator:
        case "batch_norm" if not arguments["training"]:
            met: frozenset[int] = frozenset()
        case "instance_norm" if not arguments["use_input_stats"]:
            met = frozenset()
        case "layer_norm" | "rms_norm":
            met = axes_of(call.layout[-len(arguments["normalized_shape"]) :])
        case _:
            met = axes_of(call.layout)
    return Effect(call.layout, dict.fromkeys(met, Global(f"{call.operator} over positions", direct=True)))


def concatenated(call: Call) -> Effect:
    """Cat along a dimension; along a spatial axis nothing keeps its place for sure."""
    layouts = call.layouts["tensors"]
    place = call.arguments["dim"] % len(call.shape)
    met = axes_of(layout[place] for layout in layouts)
    kept = [(*layout[:place], plain_dim(call.shape[place]), *layout[place + 1 :]) for layout in layouts]
    layout, lost = broadcast(kept, call.shape)
    reason = Global("concatenation along the axis", direct=True)
    return Effect(layout, dict.fromkeys(met | lost, reason))


def stacked(call: Call) -> Effect:
    """stack: one dimension more."""
    place = call.arguments["dim"] % len(call.shape)
    layouts = [
        (*layout[:place], plain_dim(call.shape[place]), *layout[place:]) for layout in call.layouts["tensors"]
    ]
    layout, lost = broadcast(layouts, call.shape)
    return Effect(layout, dict.fromkeys(lost, Global("stacked positions")))


def split(call: Call) -> Effect:
    """split, chunk: the layout of the pieces, whose sizes the caller knows."""
    place = call.arguments["dim"] % len(call.layout)
    met = axes_of([call.layout[place]])
    reason = Global("split along the axis")
    return Effect(_with(call.layout, place, plain_dim(call.shape[place])), dict.fromkeys(met, reason))


def selected(call: Call) -> Effect:
    """select, unbind: one dimension less."""
    place = call.arguments["dim"] % len(call.layout)
    met = axes_of([call.layout[place]])
    layout = (*call.layout[:place], *call.layout[place + 1 :])
    return Effect(layout, dict.fromkeys(met, Global("selection of single positions")))


def indexed(call: Call) -> Effect:
    """index_select, and index by tensors along dimensions without axes."""
    layout = call.layout
    if call.operator == "index_select":
        places = [call.arguments["dim"] % len(layout)]
    else:
        places = [place for place, index in enumerate(call.arguments["indices"]) if index is not None]
    met = axes_of(layout[place] for place in places)
    if len(call.shape) != len(layout):
        return Effect(
            tuple(plain_dim(n) for n in call.shape), dict.fromkeys(axes_of(layout), Global("indexing"))
        )
    for place in places:
        layout = _with(layout, place, plain_dim(call.shape[place]))
    return Effect(layout, dict.fromkeys(met, Global("indexing along the axis")))


def contracted(call: Call) -> Effect:
    """linear, matmul, bmm, einsum: what is summed over sees all of it."""
    inputs, result = _equation(call)
    operands = [(layout, term) for name, term in inputs for layout in call.layouts.get(name, [])]
    if call.operator == "einsum":
        operands = [(layout, term) for layout, (_, term) in zip(call.layouts["tensors"], inputs, strict=True)]
    met = {
        axis
        for layout, term in operands
        for dim, letter in zip(layout, term, strict=True)
        if letter not in result
        for axis in axes_of([dim])
    }
    dims: list[Dim] = []
    for letter, size in zip(result, call.shape, strict=True):
        own = [layout[term.index(letter)] for layout, term in operands if letter in term]
        free = [dim for dim in own if axes_of([dim]) and not axes_of([dim]) & axes_of(dims)]
        dims.append(free[0] if free else plain_dim(size))
    kept = axes_of(dims)
    reason = f"{call.operator} over positions"
    return Effect(tuple(dims), {axis: Global(reason, direct=axis in kept) for axis in met})


def attention(call: Call) -> Effect:
    """scaled_dot_product_attention: every query reads all keys."""
    met: frozenset[int] = frozenset()
    for name in ("key", "value"):
        for layout in call.layouts.get(name, []):
            met |= axes_of(layout[-2:])
    layouts = call.layouts.get("query") or [call.layout]
    layout = (*layouts[0][:-1], plain_dim(call.shape[-1]))
    return Effect(layout, dict.fromkeys(met, Global("attention", direct=bool(met & axes_of(layout)))))


def anywhere(call: Call) -> Effect:
    """Reads at places that depend on the data, or everywhere: grid sampling, Fourier transforms."""
    axes = axes_of(call.layout)
    return Effect(
        tuple(
            (dim if axes_of([dim]) and math.prod(a.size for a in dim) == size else plain_dim(size))
            for dim, size in zip(call.layout, call.shape, strict=False)
        ),
        dict.fromkeys(axes, Global(f"{call.operator} reads anywhere", direct=True)),
    )


def _equation(call: Call) -> tuple[list[tuple[str, str]], str]:
    """The operands with a letter for each of their dimensions, and the letters of the result."""
    if call.operator == "einsum":
        terms, result = call.arguments["equation"].replace(" ", "").split("->")
        return [("tensors", term) for term in terms.split(",")], result
    batch = "abcdefgh"
    if call.operator == "linear":
        ahead = batch[: len(call.shape) - 1]
        return [("input", ahead + "j"), ("weight", "kj")], ahead + "k"
    first, second = list(call.sizes)[-2:]  # addmm and baddbmm have their sum's other term first
    ndims = [len(call.sizes[name][0]) for name in (first, second)]
    ahead = batch[: max(max(ndims) - 2, 0)]
    left = (ahead[len(ahead) - (ndims[0] - 2) :] + "ij") if ndims[0] > 1 else "j"
    right = (ahead[len(ahead) - (ndims[1] - 2) :] + "jk") if ndims[1] > 1 else "j"
    result = ahead + ("i" if ndims[0] > 1 else "") + ("k" if ndims[1] > 1 else "")
    return [(first, left), (second, right)], result


def _places(wanted: int | Sequence[int], ndim: int) -> list[int]:
    return [dim % ndim for dim in ([wanted] if isinstance(wanted, int) else wanted)]


def _with(layout: Layout, place: int, dim: Dim) -> Layout:
    return (*layout[:place], dim, *layout[place + 1 :])
