"""Which dimensions of a tensor hold which spatial axes, through permutations, reshapes and broadcasts."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Atom:
    """A factor of a dimension: `size` entries along spatial axis `axis`, or along none."""

    size: int
    axis: int | None = None


Dim = tuple[Atom, ...]  # the outer factor first; a dimension of tokens is (h, w)
Layout = tuple[Dim, ...]


def plain_dim(size: int) -> Dim:
    """A dimension without spatial axes."""
    return (Atom(size),)


def image_layout(shape: Sequence[int], rank: int) -> Layout:
    """The layout of (b, c, *spatial), or without batch: the last `rank` dimensions are the axes."""
    ahead = len(shape) - rank
    return tuple(
        plain_dim(size) if dim < ahead else (Atom(size, dim - ahead),) for dim, size in enumerate(shape)
    )


def axes_of(dims: Iterable[Dim]) -> frozenset[int]:
    """The spatial axes that dimensions hold."""
    return frozenset(atom.axis for dim in dims for atom in dim if atom.axis is not None)


def without(layout: Layout, axes: frozenset[int]) -> Layout:
    """The layout when these axes no longer have a place."""
    return tuple(tuple(Atom(atom.size) if atom.axis in axes else atom for atom in dim) for dim in layout)


def size_of(dim: Dim) -> int:
    """Entries of a dimension."""
    return math.prod(atom.size for atom in dim)


def reshape(layout: Layout, shape: Sequence[int]) -> tuple[Layout, frozenset[int]]:
    """The layout after a reshape, and the axes that it cuts to pieces, as windows do."""
    atoms = [atom for dim in layout for atom in dim]
    broken: set[int] = set()
    dims: list[Dim] = []
    for size in shape:
        taken: list[Atom] = []
        while (missing := size // math.prod(atom.size for atom in taken)) > 1 or (
            not taken and atoms and atoms[0].size == 1
        ):
            atom = atoms.pop(0)
            if atom.size <= missing and missing % atom.size == 0:
                taken.append(atom)
                continue
            if atom.axis is not None:
                broken.add(atom.axis)
            if atom.size % missing:  # factors that cross dimensions: nothing keeps its place
                return tuple(plain_dim(n) for n in shape), axes_of(layout)
            taken.append(Atom(missing))
            atoms.insert(0, Atom(atom.size // missing))
        while atoms and atoms[0].size == 1 and tuple(shape[len(dims) + 1 : len(dims) + 2]) != (1,):
            taken.append(atoms.pop(0))  # single entries stay with what they follow
        dims.append(tuple(taken))
    if dims:
        dims[-1] += tuple(atoms)
    return without(tuple(dims), frozenset(broken)), frozenset(broken)


def broadcast(layouts: Sequence[Layout], shape: Sequence[int]) -> tuple[Layout, frozenset[int]]:
    """The layout of elementwise operands together, and the axes that have no single place in it."""
    dims: list[Dim] = []
    lost: set[int] = set()
    for place, size in enumerate(reversed(shape), start=1):
        present = [layout[-place] for layout in layouts if len(layout) >= place]
        spatial = {dim for dim in present if axes_of([dim])}
        full = {dim for dim in spatial if size_of(dim) == size}
        if len(full) == 1 and full == spatial:
            dims.append(full.pop())
        else:
            lost |= axes_of(spatial)
            dims.append(plain_dim(size))
    layout = tuple(reversed(dims))
    doubled = {axis for axis in axes_of(layout) if sum(axis in axes_of([dim]) for dim in layout) > 1}
    return without(layout, frozenset(lost | doubled)), frozenset(lost | doubled)
