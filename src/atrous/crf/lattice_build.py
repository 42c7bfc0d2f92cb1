"""Which vertices of the permutohedral lattice enclose each point: compiled loops.

Adams et al. 2010, section 3. A point on a border between simplices belongs to one of them by rounding, and
only that one's vertices come to be. So simplices are chosen in single precision and by pydensecrf's order of
operations, whatever the precision of the rest.
"""

import numpy as np
from jaxtyping import Float, Float64, Int32, Int64

from atrous.compiling import compiled
from atrous.crf.lattice_tables import HASH_BITS, NONE, Table, empty_table, larger

LANES = 256  # points whose simplices are found at once, by vector instructions


@compiled
def _elevate(points: Float[np.ndarray, "d width"], elevated: Float[np.ndarray, "coordinates lanes"]) -> None:
    """Fill in d + 1 coordinates that sum to zero, the last point's in lanes beyond: these add no vertex."""
    num_dims, width = points.shape
    multiples = np.arange(num_dims + 1).astype(elevated.dtype)
    deviation = np.array([np.sqrt(2 / 3) * (num_dims + 1)]).astype(elevated.dtype)  # a blur's is then 1
    scales = np.empty(num_dims, elevated.dtype)
    for axis in range(num_dims):
        scales[axis] = 1 / np.sqrt((axis + 1) * (axis + 2)) * deviation[0]
    elevated[0] = 0
    for axis in range(num_dims, 0, -1):
        for lane in range(width):
            along = points[axis - 1, lane] * scales[axis - 1]
            elevated[axis, lane] = elevated[0, lane] - multiples[axis] * along
            elevated[0, lane] += along
    for axis in range(num_dims + 1):
        for lane in range(width, LANES):
            elevated[axis, lane] = elevated[axis, width - 1]


@compiled
def _find_simplices(
    rough: Float[np.ndarray, "coordinates lanes"],
    elevated: Float[np.ndarray, "coordinates lanes"],
    offsets: Float[np.ndarray, "coordinates lanes"],
    origins: Int32[np.ndarray, "coordinates lanes"],
    ranks: Int32[np.ndarray, "coordinates lanes"],
) -> None:
    """Fill in, for each point, its simplex's origin, the offset from it, and the offsets' ranks downwards.

    The rough coordinates choose the simplex. Offsets are in units of d + 1; the origin's coordinates are
    multiples of d + 1 and sum to zero.
    """
    last = len(rough)
    sizes = np.array([last, 1 / last]).astype(rough.dtype)
    residues = np.empty((last, LANES), rough.dtype)
    excess = np.zeros(LANES, np.int32)
    for axis in range(last):
        for lane in range(LANES):
            nearest = np.rint(rough[axis, lane] * sizes[1])
            excess[lane] += np.int32(nearest)
            origins[axis, lane] = np.int32(nearest) * last
            residues[axis, lane] = rough[axis, lane] - nearest * sizes[0]
            ranks[axis, lane] = 0
    for axis in range(last):
        for other in range(axis + 1, last):
            for lane in range(LANES):
                lower = np.int32(residues[axis, lane] < residues[other, lane])
                ranks[axis, lane] += lower
                ranks[other, lane] += 1 - lower
    for axis in range(last):  # back onto the plane of sum zero, by the coordinates that were rounded farthest
        for lane in range(LANES):
            place = ranks[axis, lane] + excess[lane]
            turns = np.int32(place < 0) - np.int32(place >= last)
            ranks[axis, lane] = place + turns * last
            origins[axis, lane] += turns * last
            offsets[axis, lane] = (elevated[axis, lane] - origins[axis, lane]) / last


@compiled
def _describe_vertices(
    offsets: Float[np.ndarray, "coordinates lanes"],
    origins: Int32[np.ndarray, "coordinates lanes"],
    ranks: Int32[np.ndarray, "coordinates lanes"],
    multipliers: Int64[np.ndarray, " coordinates"],
    codes: Int64[np.ndarray, "coordinates lanes"],
    weights: Float64[np.ndarray, "coordinates lanes"],
) -> None:
    """Fill in the hashes of each simplex's vertices, and each point's barycentric coordinates."""
    last = len(ranks)
    climb = multipliers.sum()
    ordered = np.empty((last, LANES))
    falls = np.empty((last, LANES), np.int64)
    codes[0] = 0
    for axis in range(last):
        for lane in range(LANES):
            rank = np.uint32(ranks[axis, lane])
            ordered[rank, lane] = offsets[axis, lane]
            falls[rank, lane] = last * multipliers[axis]
            codes[0, lane] += origins[axis, lane] * multipliers[axis]
    for lane in range(LANES):
        weights[0, lane] = 1 + ordered[last - 1, lane] - ordered[0, lane]
    for color in range(1, last):  # from vertex to vertex one coordinate falls by d, all others rise by one
        for lane in range(LANES):
            codes[color, lane] = codes[color - 1, lane] + climb - falls[last - color, lane]
            weights[color, lane] = ordered[last - 1 - color, lane] - ordered[last - color, lane]


@compiled
def _number_vertices(
    table: Table,
    size: int,
    origins: Int32[np.ndarray, "coordinates lanes"],
    ranks: Int32[np.ndarray, "coordinates lanes"],
    wanted: Int64[np.ndarray, "coordinates lanes"],
    numbers: Int32[np.ndarray, "coordinates lanes"],
) -> int:
    """Fill in the numbers of the vertices with the wanted hashes, adding those that are new; the new size."""
    slots, codes, keys = table
    mask = len(slots) - 1
    num_dims = keys.shape[1]
    for lane in range(LANES):
        for color in range(num_dims + 1):
            code = wanted[color, lane]
            slot = (code >> HASH_BITS) & mask
            while slots[slot] != NONE:
                same = codes[slot] == code
                if same:
                    for axis in range(num_dims):
                        turned = (num_dims + 1) * np.int32(ranks[axis, lane] > num_dims - color)
                        same &= keys[slots[slot], axis] == origins[axis, lane] + color - turned
                if same:
                    break
                slot = (slot + 1) & mask
            else:
                slots[slot] = size
                codes[slot] = code
                for axis in range(num_dims):
                    turned = (num_dims + 1) * np.int32(ranks[axis, lane] > num_dims - color)
                    keys[size, axis] = origins[axis, lane] + color - turned
                size += 1
            numbers[color, lane] = slots[slot]
    return size


@compiled
def enclose(
    features: Float[np.ndarray, "d n"],
    rough: Float[np.ndarray, "d n"],
    multipliers: Int64[np.ndarray, " coordinates"],
    corners: Int32[np.ndarray, "n entries"],
    shares: Float[np.ndarray, "n entries"],
    first: int,
) -> Int32[np.ndarray, "m d"]:
    """Find the d + 1 vertices round each point, and the point's barycentric coordinates among them.

    Args:
        features: The points, whose elevation must fit into 31 bits.
        rough: The same in the precision in which their simplices are chosen.
        multipliers: Odd and random, the last one zero; the hash of a key is its scalar product with them.
        corners: Filled in place, from column `first` on, with numbers of vertices.
        shares: Filled likewise with the coordinates; they sum to one.
        first: The column of the first of the d + 1 vertices.

    Returns:
        The keys of the vertices, numbered as they come.
    """
    num_dims, num_points = features.shape
    last = num_dims + 1
    elevated, offsets = np.empty((2, last, LANES), features.dtype)
    rough_elevated, weights = np.empty((last, LANES), rough.dtype), np.empty((last, LANES))
    origins, ranks = np.empty((last, LANES), np.int32), np.empty((last, LANES), np.int32)
    wanted, numbers = np.empty((last, LANES), np.int64), np.empty((last, LANES), np.int32)
    table = empty_table(last * LANES, num_dims)
    size = 0
    for start in range(0, num_points, LANES):
        if size + last * LANES > len(table[2]):
            table = larger(table)
        width = min(LANES, num_points - start)
        _elevate(features[:, start : start + width], elevated)
        _elevate(rough[:, start : start + width], rough_elevated)
        _find_simplices(rough_elevated, elevated, offsets, origins, ranks)
        _describe_vertices(offsets, origins, ranks, multipliers, wanted, weights)
        size = _number_vertices(table, size, origins, ranks, wanted, numbers)
        for lane in range(width):
            for color in range(last):
                corners[start + lane, first + color] = numbers[color, lane]
                shares[start + lane, first + color] = weights[color, lane]
    return table[2][:size].copy()
