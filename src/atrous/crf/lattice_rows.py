"""The lattice's sparse matrices, written as compressed rows by compiled loops."""

import numpy as np
from jaxtyping import Float, Float64, Int32

from atrous.compiling import compiled
from atrous.crf.lattice_tables import NONE

# Of a matrix: where its rows start, and the column and value of each entry.
Rows = tuple[Int32[np.ndarray, "_"], Int32[np.ndarray, "_"], Float[np.ndarray, "_"]]


@compiled
def tally(
    corners: Int32[np.ndarray, "n entries"],
    shares: Float[np.ndarray, "n entries"],
    first: int,
    num_entries: int,
    num_vertices: int,
) -> tuple[Int32[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """How many points share each vertex, and the sum of their shares: the splat of ones."""
    counts = np.zeros(num_vertices, np.int32)
    mass = np.zeros(num_vertices)
    for point in range(len(corners)):
        for column in range(first, first + num_entries):
            vertex = corners[point, column]
            counts[vertex] += 1
            mass[vertex] += shares[point, column]
    return counts, mass


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
def transpose_shares_(
    corners: Int32[np.ndarray, "n entries"],
    shares: Float[np.ndarray, "n entries"],
    first: int,
    num_entries: int,
    scales: Float[np.ndarray, " n"],
    start: int,
    rows: Rows,
) -> None:
    """Write the entries of splatting: each point's shares times its scale, in the rows of its vertices.

    The points are numbered from `start` on. In place of starts, `rows` has where each row's next entry goes.
    """
    free, columns, values = rows
    for point in range(len(corners)):
        for column in range(first, first + num_entries):
            place = free[corners[point, column]]
            free[corners[point, column]] += 1
            columns[place] = start + point
            values[place] = shares[point, column] * scales[point]


@compiled
def renumber_(
    corners: Int32[np.ndarray, "n entries"], first: int, num_entries: int, numbers: Int32[np.ndarray, " _"]
) -> None:
    """Give other numbers to the vertices in the columns from `first` on, in place."""
    for point in range(len(corners)):
        for column in range(first, first + num_entries):
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
