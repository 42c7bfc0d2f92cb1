"""High-dimensional Gaussian filtering on the permutohedral lattice, as products of sparse matrices.

Adams et al. 2010: splat the pixels onto the vertices of a lattice round them, blur along its d + 1
directions, slice the pixels out again. All three are linear, so the filter is up @ blur_d ... blur_0 @ down.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor

from atrous.crf.filters import ALL
from atrous.crf.products import SparseMatrix, product, product_of_rows


@dataclass(frozen=True, eq=False)
class Lattice:
    """A `Filter`: the lattices of several kernels on the same n pixels, which together have m vertices.

    Normalization is folded into the matrices; weights of kernels are not, so that they can be learned.

    Attributes:
        downs: For each kernel, the matrix (its vertices, n) that splats; apart, as threads share out rows
            evenly and those of different kernels differ in length.
        blurs: For each kernel, its blurs, direction by direction; symmetric, as neighbors are mutual.
        up: The matrix (n, m) that slices, with as many entries in each row.
        ratios: For each kernel, the scale of each pixel after the filter by that before it; None where they
            are all one, so that splatting and slicing are transposes.
    """

    downs: tuple[SparseMatrix, ...]
    blurs: tuple[tuple[SparseMatrix, ...], ...]
    up: SparseMatrix
    ratios: tuple[Float[Tensor, " n"], ...] | None

    def splat(
        self, values: Float[Tensor, "n k"], *, weights: Float[Tensor, "kernels *classes"]
    ) -> Float[Tensor, "m k"]:
        """As `Filter.splat`: blurred values at the vertices."""
        vertices = []
        for kernel, weight in enumerate(weights):
            part = product(self.downs[kernel], values, transposed=partial(self._transposed_down, kernel))
            for blur in self.blurs[kernel]:
                part = product(blur, part, transposed=partial(replace, blur))
            vertices.append(part * weight)
        return torch.cat(vertices)

    def slice(
        self, splatted: Float[Tensor, "m k"], *, base: Float[Tensor, "p k"] | None = None, pixels: slice = ALL
    ) -> Float[Tensor, "p k"]:
        """As `Filter.slice`."""
        if pixels != ALL:
            return product_of_rows(self.up, splatted, rows=pixels, base=base)
        return product(self.up, splatted, transposed=lambda: self._transposed_up, base=base)

    def _transposed_down(self, kernel: int) -> SparseMatrix:
        return self._transposed_downs[kernel]

    @cached_property
    def _transposed_downs(self) -> tuple[SparseMatrix, ...]:
        """The entries of each kernel in the rows of `up`, with the scales of before the filter."""
        num_pixels = self.up.num_rows
        columns, values = self.up.columns.view(num_pixels, -1), self.up.values.view(num_pixels, -1)
        transposed, entry, vertex = [], 0, 0
        for kernel, down in enumerate(self.downs):
            width = len(down.columns) // num_pixels
            own = values[:, entry : entry + width]
            if self.ratios is not None:
                own = own / self.ratios[kernel][:, None]
            starts = torch.arange(num_pixels + 1, dtype=torch.int32, device=own.device) * width
            places = columns[:, entry : entry + width] - vertex
            transposed.append(SparseMatrix(starts, places.flatten(), own.flatten()))
            entry, vertex = entry + width, vertex + down.num_rows
        return tuple(transposed)

    @cached_property
    def _transposed_up(self) -> SparseMatrix:
        """The rows of all `downs`, with the scales of after the filter."""
        starts, values, size = [self.downs[0].starts[:1]], [], 0
        for kernel, down in enumerate(self.downs):
            starts.append(down.starts[1:] + size)
            size += len(down.columns)
            scaled = down.values if self.ratios is None else down.values * self.ratios[kernel][down.columns]
            values.append(scaled)
        columns = torch.cat([down.columns for down in self.downs])
        return SparseMatrix(torch.cat(starts), columns, torch.cat(values))
