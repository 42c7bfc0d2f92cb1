"""The lattice's sparse matrices, written as compressed rows by compiled loops."""

import numpy as np
from jaxtyping import Float, Float64, Int32

from atrous.crf.compiling import compiled
from atrous.crf.lattice_tables import NONE


@compiled
def tally(
    corners: Int32[np.ndarray, "n entries"],
    shares: Float[np.ndarray, "n entries"],
    first: int,
    above: Int32[np.ndarray, "directions m"],
) -> tuple[Int32[np.ndarray, " starts"], Float64[np.ndarray, " m"]]:
    """Where the rows of splatting start, and the sum of all shares in each vertex: the splat of ones."""
    starts = np.zeros(above.shape[1] + 1, np.int32)
    mass = np.zeros(above.shape[1])
    for point in range(len(corners)):
        for column in range(first, first + len(above)):
            vertex = corners[point, column]
            starts[vertex + 1] += 1
            mass[vertex] += shares[point, column]
    for vertex in range(len(mass)):
        starts[vertex + 1] += starts[vertex]
    return starts, mass


@compiled
def blur_mass(
    mass: Float64[np.ndarray, " m"],
    above: Int32[np.ndarray, "directions m"],
    below: Int32[np.ndarray, "directions m"],
) -> Float64[np.ndarray, " m"]:
    """The mass of each vertex after all blurs: its own and half of its neighbors', by direction."""
    for direction in range(len(above)):
        blurred = mass.copy()
        for vertex in range(len(mass)):
            if above[direction, vertex] != NONE:
                blurred[vertex] += mass[above[direction, vertex]] / 2
            if below[direction, vertex] != NONE:
                blurred[vertex] += mass[below[direction, vertex]] / 2
        mass = blurred
    return mass


@compiled
def slice_mass(
    corners: Int32[np.ndarray, "n entries"],
    shares: Float[np.ndarray, "n entries"],
    first: int,
    num_entries: int,
    mass: Float64[np.ndarray, " m"],
) -> Float64[np.ndarray, " n"]:
    """The mass at each point: what the filter makes of ones, up to its gain."""
    sliced = np.zeros(len(corners))
    for point in range(len(corners)):
        for column in range(first, first + num_entries):
            sliced[point] += shares[point, column] * mass[corners[point, column]]
    return sliced


@compiled
def transpose_shares(
    corners: Int32[np.ndarray, "n entries"],
    shares: Float[np.ndarray, "n entries"],
    first: int,
    starts: Int32[np.ndarray, " starts"],
    scales: Float[np.ndarray, " n"],
) -> tuple[Int32[np.ndarray, " nonzeros"], Float[np.ndarray, " nonzeros"]]:
    """Columns and values of splatting: the shares row by row of vertices, each point's times its scale."""
    num_entries = starts[-1] // len(corners)
    columns = np.empty(starts[-1], np.int32)
    values = np.empty(starts[-1], shares.dtype)
    free = starts.copy()
    for point in range(len(corners)):
        for column in range(first, first + num_entries):
            place = free[corners[point, column]]
            free[corners[point, column]] += 1
            columns[place] = point
            values[place] = shares[point, column] * scales[point]
    return columns, values


@compiled
def renumber_(
    corners: Int32[np.ndarray, "n entries"], first: int, last: int, numbers: Int32[np.ndarray, " _"]
) -> None:
    """Give other numbers to the vertices in the columns from `first` up to `last`, in place."""
    for point in range(len(corners)):
        for column in range(first, last):
            corners[point, column] = numbers[corners[point, column]]


@compiled
def finish_shares_(
    corners: Int32[np.ndarray, "n entries"],
    shares: Float[np.ndarray, "n entries"],
    first: int,
    num_entries: int,
    offset: int,
    scales: Float[np.ndarray, " n"],
) -> None:
    """Number the vertices from `offset` on, and scale the shares of each point, in place."""
    for point in range(len(corners)):
        for column in range(first, first + num_entries):
            corners[point, column] += offset
            shares[point, column] *= scales[point]


@compiled
def blur_rows(
    above: Int32[np.ndarray, " m"], below: Int32[np.ndarray, " m"]
) -> tuple[Int32[np.ndarray, " starts"], Int32[np.ndarray, " nonzeros"]]:
    """Starts and columns of the rows of a blur along one direction; the vertex itself comes first."""
    starts = np.zeros(len(above) + 1, np.int32)
    columns = np.empty(3 * len(above), np.int32)
    size = 0
    for vertex in range(len(above)):
        columns[size] = vertex
        size += 1
        for neighbor in (below[vertex], above[vertex]):
            if neighbor != NONE:
                columns[size] = neighbor
                size += 1
        starts[vertex + 1] = size
    return starts, columns[:size].copy()
