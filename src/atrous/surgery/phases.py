"""Space to batch: a module run on every interleaved grid of a dense map, each as sparse as the original map.

Whatever the module does to a map, it does the same to each grid, so that its function is kept. The two
operators are registered with PyTorch by name, because the tracer follows them; they are made of PyTorch's
own, and an exported program can be decomposed into those.
"""

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map

_LIBRARY = torch.library.Library("atrous", "DEF")
_LIBRARY.define("to_phases(Tensor x, int[] spread, int[] kept) -> Tensor")
_LIBRARY.define("from_phases(Tensor x, int[] spread, SymInt[] size) -> Tensor")


def to_phases(x: Tensor, spread: Sequence[int], kept: Sequence[int]) -> Tensor:
    """The grids of every `spread`-th cell, below each other in the batch.

    Args:
        x: A map (b, c, *spatial).
        spread: Cells from one cell of a grid to its next, one number an axis.
        kept: Grids of each axis that are wanted, the first so many.

    Returns:
        (b * prod(kept), c, *ceil(spatial / spread)), the grid of the last axis outermost; a grid that has one
        cell less than the first ends in that cell's left neighbor.
    """
    x = functional.pad(x, [cells for step in reversed(spread) for cells in (0, step - 1)], mode="replicate")
    for dim, (step, used) in enumerate(zip(spread, kept, strict=True), start=2):
        grids = x.unfold(dim, step, step).movedim(-1, 0)[:used]
        x = grids.clone(memory_format=torch.contiguous_format).flatten(0, 1)
    return x


def from_phases(x: Tensor, spread: Sequence[int], size: Sequence[Any]) -> Tensor:
    """The inverse of `to_phases`: grids interleaved again, and cut to `size`."""
    for dim in range(x.ndim - 1, 1, -1):
        step = spread[dim - 2]
        x = x.unflatten(0, (step, x.shape[0] // step)).movedim(0, dim + 1).flatten(dim, dim + 1)
    for dim, cells in enumerate(size, start=2):
        if isinstance(cells, int):
            x = x.narrow(dim, 0, cells)
        else:  # symbolic: narrow would ask for a proof that it is not too large
            x = x.index_select(dim, torch.arange(cells, device=x.device))
    return x


_LIBRARY.impl("to_phases", to_phases, "CompositeImplicitAutograd")
_LIBRARY.impl("from_phases", from_phases, "CompositeImplicitAutograd")


class Slot:
    """What one hook leaves for a later one in the same forward, each thread its own."""

    def __init__(self) -> None:
        self._values: dict[int, Any] = {}

    def put(self, value: Any) -> None:
        """Leaves a value, in the place of any that a forward left that did not come to its end."""
        self._values[threading.get_ident()] = value

    def take(self) -> Any:
        """The value, which is then gone; None if there is none."""
        return self._values.pop(threading.get_ident(), None)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Slot":
        return memo.setdefault(id(self), Slot())

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Slot, ()


class InPhases:
    """A pair of hooks that runs a module on the grids of its input instead of on the dense map.

    Args:
        spread: Dense cells from one original cell to the next, (input, output), one pair an axis; the
            output's is smaller where the module upsamples.
    """

    def __init__(self, spread: Sequence[tuple[int, int]]) -> None:
        self.before = [before for before, _ in spread]
        self.after = [after for _, after in spread]
        self.sizes = Slot()

    def attach_(self, module: nn.Module) -> None:
        """Hooks the pair to a module, inside any hooks that it has."""
        module.register_forward_pre_hook(self.split, with_kwargs=True)
        module.register_forward_hook(self.join, prepend=True)

    def split(self, module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ARG002 (hook)
        """Before the module: every map among its arguments becomes its grids."""
        return tree_map(self._grids, args), tree_map(self._grids, kwargs)

    def join(self, module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ARG002 (hook)
        """After the module: the grids of its results become maps."""
        sizes = self.sizes.take()
        return tree_map(lambda value: self._map(value, sizes), output)

    def _grids(self, value: Any) -> Any:
        if not self._is_map(value):
            return value
        self.sizes.put(tuple(value.shape[2:]))
        return torch.ops.atrous.to_phases(value, self.before, self.after)

    def _map(self, value: Any, sizes: tuple[Any, ...]) -> Any:
        if not self._is_map(value):
            return value
        dense = map(_joined_size, value.shape[2:], sizes, self.before, self.after)
        return torch.ops.atrous.from_phases(value, self.after, list(dense))

    def _is_map(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.ndim == len(self.before) + 2


def _joined_size(cells: Any, size: Any, before: int, after: int) -> Any:
    """Dense cells of a result with so many cells a grid, where the module was given so many dense cells."""
    if before == after:  # as many over or under as the first grid
        return size + (cells - (size + before - 1) // before) * after
    return torch.sym_min(torch.sym_max(size, (cells - 1) * after + 1), cells * after)
