"""Sparse matrices times dense ones, whose gradient is a product with a matrix already at hand.

A product is an embedding bag: each row of the result is a weighted sum of rows of a table. On a CPU torch's
kernel for that takes half the time of its sparse product, and both run on all devices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int32
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, eq=False)
class SparseMatrix:
    """Compressed rows.

    Attributes:
        starts: Where each row's entries start, and the number of entries.
        columns: The column of each entry.
        values: The entries.
    """

    starts: Int32[Tensor, " starts"]
    columns: Int32[Tensor, " entries"]
    values: Float[Tensor, " entries"]

    @property
    def num_rows(self) -> int:
        """Rows of the matrix and of its products."""
        return len(self.starts) - 1


def product(
    matrix: SparseMatrix,
    values: Float[Tensor, "columns k"],
    *,
    transposed: Callable[[], SparseMatrix],
    base: Float[Tensor, "rows k"] | None = None,
) -> Float[Tensor, "rows k"]:
    """The product, plus the base, with gradients to values and base; only they call `transposed`."""
    return _Product.apply(values, base, matrix, transposed)  # type: ignore[return-value]


def product_of_rows(
    matrix: SparseMatrix,
    values: Float[Tensor, "columns k"],
    *,
    rows: slice,
    base: Float[Tensor, "some k"] | None = None,
) -> Float[Tensor, "some k"]:
    """Some rows of the product, plus the base, without gradients; all rows must have as many entries."""
    first, last, _ = rows.indices(matrix.num_rows)
    width = len(matrix.columns) // matrix.num_rows
    entries = slice(first * width, last * width)
    part = SparseMatrix(matrix.starts[: last - first + 1], matrix.columns[entries], matrix.values[entries])
    return _product(part, values, base)


def _product(matrix: SparseMatrix, values: Tensor, base: Tensor | None) -> Tensor:
    summed = functional.embedding_bag(
        matrix.columns,
        values.detach(),  # torch does less where it sees that no gradient is wanted
        matrix.starts,
        mode="sum",
        per_sample_weights=matrix.values,
        include_last_offset=True,
    )
    return summed if base is None else summed.add_(base.detach())


class _Product(torch.autograd.Function):
    """Torch's own gradient of an embedding bag would sort the columns every time."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        base: Tensor | None,
        matrix: SparseMatrix,
        transposed: Callable[[], SparseMatrix],
    ) -> Tensor:
        ctx.matrix, ctx.transposed, ctx.has_base = matrix, transposed, base is not None
        return _product(matrix, values, base)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (gradient,) = gradients
        values = product(ctx.transposed(), gradient.contiguous(), transposed=lambda: ctx.matrix)
        return values, gradient if ctx.has_base else None, None, None
