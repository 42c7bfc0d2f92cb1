"""Hash tables of the lattice's vertices: what tells whether a vertex is known, and which are neighbors."""

import numpy as np
from jaxtyping import Int32, Int64

from atrous.compiling import compiled

NONE = -1  # in place of a vertex's number
HASH_BITS = 40  # the slot is read above them: the high bits of a product are the well mixed ones

# In each slot the number of a vertex or NONE, and its hash; and by number its key, the first d of its d + 1
# coordinates, which sum to zero. The hash of a key is its scalar product with random multipliers.
Table = tuple[Int32[np.ndarray, " slots"], Int64[np.ndarray, " slots"], Int32[np.ndarray, "room d"]]


@compiled
def empty_table(room: int, num_dims: int) -> Table:
    """An empty table that takes as many vertices in half of its slots."""
    num_slots = 1
    while num_slots < 2 * room:
        num_slots *= 2
    slots = np.full(num_slots, NONE, np.int32)
    return slots, np.empty(num_slots, np.int64), np.empty((num_slots // 2, num_dims), np.int32)


@compiled
def larger(table: Table) -> Table:
    """The same table with four times the room."""
    old_slots, old_codes, old_keys = table
    slots, codes, keys = empty_table(4 * len(old_keys), old_keys.shape[1])
    for vertex in range(len(old_keys)):  # not a copy of slices, which takes three seconds to compile
        for axis in range(old_keys.shape[1]):
            keys[vertex, axis] = old_keys[vertex, axis]
    for old in range(len(old_slots)):
        if old_slots[old] != NONE:
            slot = (old_codes[old] >> HASH_BITS) & (len(slots) - 1)
            while slots[slot] != NONE:
                slot = (slot + 1) & (len(slots) - 1)
            slots[slot] = old_slots[old]
            codes[slot] = old_codes[old]
    return slots, codes, keys


@compiled
def merge(
    keys: Int32[np.ndarray, "some d"],
    others: Int32[np.ndarray, "rest d"],
    multipliers: Int64[np.ndarray, " coordinates"],
) -> tuple[Table, Int32[np.ndarray, " rest"]]:
    """The table of two sets of vertices, and the numbers of the others there; the first keep theirs."""
    table = empty_table(len(keys) + len(others), keys.shape[1])
    numbers = np.empty(len(others), np.int32)
    for vertex in range(len(keys)):
        _number(table, vertex, keys[vertex], multipliers)
    size = len(keys)
    for vertex in range(len(others)):
        numbers[vertex] = _number(table, size, others[vertex], multipliers)
        size += numbers[vertex] == size
    return (table[0], table[1], table[2][:size].copy()), numbers


@compiled
def _number(
    table: Table, size: int, key: Int32[np.ndarray, " d"], multipliers: Int64[np.ndarray, " coordinates"]
) -> int:
    """The number of a vertex; that of one that is new is the size so far."""
    slots, codes, keys = table
    code = np.int64(0)
    for axis in range(len(key)):
        code += key[axis] * multipliers[axis]
    slot = (code >> HASH_BITS) & (len(slots) - 1)
    while slots[slot] != NONE:
        same = codes[slot] == code
        if same:
            for axis in range(len(key)):
                same &= keys[slots[slot], axis] == key[axis]
        if same:
            return slots[slot]
        slot = (slot + 1) & (len(slots) - 1)
    slots[slot] = size
    codes[slot] = code
    keys[size] = key
    return size


@compiled
def find_neighbors(
    table: Table, multipliers: Int64[np.ndarray, " coordinates"]
) -> tuple[Int32[np.ndarray, "directions m"], Int32[np.ndarray, "directions m"]]:
    """The next and the previous vertex, or NONE, in each of the d + 1 directions.

    A step up in a direction raises its coordinate by d and lowers all others by one.
    """
    slots, codes, keys = table
    size, num_dims = keys.shape
    above = np.full((num_dims + 1, size), NONE, np.int32)
    below = np.full((num_dims + 1, size), NONE, np.int32)
    mask = len(slots) - 1
    for start in np.nonzero(slots != NONE)[0]:
        vertex = slots[start]
        for direction in range(num_dims + 1):
            code = codes[start] - multipliers.sum() + (num_dims + 1) * multipliers[direction]
            slot = (code >> HASH_BITS) & mask
            while slots[slot] != NONE:
                same = codes[slot] == code
                if same:
                    for axis in range(num_dims):
                        step = num_dims if axis == direction else -1
                        same &= keys[slots[slot], axis] == keys[vertex, axis] + step
                if same:
                    above[direction, vertex] = slots[slot]
                    below[direction, slots[slot]] = vertex
                    break
                slot = (slot + 1) & mask
    return above, below
