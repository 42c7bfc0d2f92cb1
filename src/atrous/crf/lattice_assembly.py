"""From features to a lattice: each kernel's part on a thread of its own, some of it on two; then joined."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32, Int64
from torch import Tensor

from atrous.crf.filters import Normalization, check_finite, exponents
from atrous.crf.lattice import Lattice
from atrous.crf.lattice_build import enclose
from atrous.crf.lattice_rows import (
    Rows,
    blur_mass,
    blur_rows,
    finish_shares_,
    renumber_,
    slice_mass,
    tally,
    transpose_shares_,
)
from atrous.crf.lattice_tables import find_neighbors, merge
from atrous.crf.products import SparseMatrix
from atrous.errors import ShapeError

LARGEST_KEY = 1 << 30  # a vertex and its neighbors then fit int32
LARGEST_SINGLE = 1 << 12  # bandwidths; up to here single precision places a point to a thousandth
MOST_ENTRIES = (1 << 31) - 1  # of a matrix with 32-bit indices


@dataclass(frozen=True, slots=True, eq=False)
class _Shares:
    """How the pixels of an image are shared out to vertices, in columns that belong to one kernel each."""

    corners: Int32[np.ndarray, "n entries"]
    shares: Float[np.ndarray, "n entries"]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The vertices round the points of a half.

    Attributes:
        keys: Their coordinates.
        counts: How many points share each.
        mass: The sum of their shares.
    """

    keys: Int32[np.ndarray, "m d"]
    counts: Int32[np.ndarray, " m"]
    mass: Float64[np.ndarray, " m"]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one kernel adds to a lattice.

    Attributes:
        first: Its first column of the shares.
        numbers: For each half, the numbers that its vertices have among all.
        free: For each half, where its first entry goes in each row of the matrix that splats.
        mass: At each vertex, what splat and blur make of ones.
        down: The matrix that splats; its entries are written half by half.
        blurs: One a direction.
        ratio: The scale of each pixel after the filter by that before it, written half by half.
    """

    first: int
    numbers: tuple[Int32[np.ndarray, " _"], ...]
    free: tuple[Int32[np.ndarray, " m"], ...]
    mass: Float64[np.ndarray, " m"]
    down: Rows
    blurs: tuple[Rows, ...]
    ratio: Float[np.ndarray, " n"]


def build_lattice(features: Sequence[Float[Tensor, "_ n"]], *, normalization: Normalization) -> Lattice:
    """The lattice of each set of features, in their precision and on their device; it is built on the CPU.

    The first call in a new environment compiles its loops, which takes about 10 seconds, kept where possible.

    Args:
        features: For each kernel, features (f, n) divided by their bandwidths.
        normalization: See `exponents`.

    Raises:
        ShapeError: If features are not finite, too large, or too many for 32-bit indices.
        ConfigError: If there is no such normalization.
    """
    num_pixels = features[0].shape[1]
    widths = [len(points) + 1 for points in features]
    if num_pixels * sum(widths) > MOST_ENTRIES:
        raise ShapeError(
            f"{num_pixels} pixels with {sum(widths)} vertices each are too many for one lattice; give a part "
            f"of the image, or fewer features"
        )
    arrays = [_checked(points) for points in features]
    shape = (num_pixels, sum(widths))
    shares = _Shares(np.empty(shape, np.int32), np.empty(shape, arrays[0].dtype))
    firsts = np.cumsum([0, *widths[:-1]]).tolist()
    halves = slice(0, num_pixels // 2), slice(num_pixels // 2, num_pixels)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        found = [pool.map(partial(_enclose, shares=shares, points=half), arrays, firsts) for half in halves]
        parts = list(pool.map(partial(_join, shares=shares), firsts, *found))
        offsets = np.cumsum([0, *(len(part.mass) for part in parts)]).tolist()
        powers = exponents(normalization)
        finish = partial(_finish_half_, shares=shares, powers=powers)
        written = [pool.map(partial(finish, half), parts, offsets[:-1]) for half in enumerate(halves)]
        _ = [list(done) for done in written]  # raises what a thread raised
    return _to_lattice(parts, shares, features[0].device)


def _enclose(features: Float[np.ndarray, "d n"], first: int, *, shares: _Shares, points: slice) -> _Found:
    """Vertices round some of the points of one kernel; fills in the shares. Without torch, as all here."""
    wild = np.abs(features).max() >= LARGEST_SINGLE
    exact = features[:, points].astype(np.float64 if wild else features.dtype)
    rough = exact if wild else exact.astype(np.float32)
    corners, own = shares.corners[points], shares.shares[points]
    keys = enclose(exact, rough, _multipliers(len(features)), corners, own, first)
    return _Found(keys, *tally(corners, own, first, len(features) + 1, len(keys)))


def _join(first: int, early: _Found, late: _Found, *, shares: _Shares) -> _Part:
    """One kernel's part, with room for what its halves have yet to write."""
    num_pixels, dtype = len(shares.corners), shares.shares.dtype
    num_dims = early.keys.shape[1]
    multipliers = _multipliers(num_dims)
    table, numbers = merge(early.keys, late.keys, multipliers)
    above, below = find_neighbors(table, multipliers)
    num_early, num_vertices = len(early.keys), len(table[2])
    counts, mass = np.zeros(num_vertices, np.int32), np.zeros(num_vertices)
    counts[:num_early], mass[:num_early] = early.counts, early.mass
    starts, second = np.zeros(num_vertices + 1, np.int32), counts.copy()
    counts[numbers] += late.counts
    mass[numbers] += late.mass
    np.cumsum(counts, out=starts[1:])
    second += starts[:-1]
    num_entries = num_pixels * (num_dims + 1)
    return _Part(
        first,
        numbers=(np.arange(num_early, dtype=np.int32), numbers),
        free=(starts[:-1].copy(), second),
        mass=blur_mass(mass, above, below),
        down=(starts, np.empty(num_entries, np.int32), np.empty(num_entries, dtype)),
        blurs=tuple(_blur(up, down, dtype) for up, down in zip(above, below, strict=True)),
        ratio=np.empty(num_pixels, dtype),
    )


def _finish_half_(
    half: tuple[int, slice], part: _Part, offset: int, *, shares: _Shares, powers: tuple[float, float]
) -> None:
    """Write a half's entries of one kernel's matrices, whose vertices start at `offset` in the lattice."""
    number, points = half
    corners, own = shares.corners[points], shares.shares[points]
    first, num_dims = part.first, len(part.blurs) - 1
    renumber_(corners, first, num_dims + 1, part.numbers[number])
    gain = 1 / (1 + 2.0**-num_dims)  # brings the value at distance zero to about one, as in pydensecrf
    degrees = gain * slice_mass(corners, own, first, num_dims + 1, part.mass)
    before, after = ((math.sqrt(gain) * degrees**power).astype(own.dtype) for power in powers)
    rows = part.free[number], *part.down[1:]
    transpose_shares_(corners, own, first, num_dims + 1, before, points.start, rows)
    finish_shares_(corners, own, first, num_dims + 1, offset, after)
    part.ratio[points] = after / before


def _blur(above: Int32[np.ndarray, " m"], below: Int32[np.ndarray, " m"], dtype: np.dtype) -> Rows:
    """One at a vertex and a half at each of its two neighbors."""
    starts, columns = blur_rows(above, below)
    values = np.full(len(columns), 0.5, dtype)
    values[starts[:-1]] = 1
    return starts, columns, values


def _to_lattice(parts: Sequence[_Part], shares: _Shares, device: torch.device) -> Lattice:
    """The arrays as tensors."""
    num_pixels, width = shares.corners.shape
    starts = np.arange(num_pixels + 1, dtype=np.int32) * np.int32(width)
    ratios = tuple(torch.from_numpy(part.ratio).to(device) for part in parts)
    return Lattice(
        downs=tuple(_matrix(part.down, device) for part in parts),
        blurs=tuple(tuple(_matrix(blur, device) for blur in part.blurs) for part in parts),
        up=_matrix((starts, shares.corners.reshape(-1), shares.shares.reshape(-1)), device),
        ratios=None if all((ratio == 1).all() for ratio in ratios) else ratios,
    )


def _matrix(rows: Rows, device: torch.device) -> SparseMatrix:
    return SparseMatrix(*(torch.from_numpy(part).to(device) for part in rows))


def _multipliers(num_dims: int) -> Int64[np.ndarray, " coordinates"]:
    """Random odd factors of a hash; the coordinate that all others determine has no part in it."""
    factors = np.random.default_rng(0).integers(-(1 << 62), 1 << 62, num_dims + 1) | 1
    factors[-1] = 0
    return factors


def _checked(points: Float[Tensor, "f n"]) -> Float[np.ndarray, "f n"]:
    """Features as an array that the compiled loops can take."""
    largest = check_finite(points)
    num_dims = len(points)
    # Bounds the sum of all features times their scales, which is the largest coordinate of a vertex.
    reach = (num_dims + 1) * (2 + math.log(num_dims))
    if largest * reach > LARGEST_KEY:
        raise ShapeError(
            f"features reach {largest:.3g} bandwidths, where the lattice has {LARGEST_KEY / reach:.3g}; give "
            f"larger sigmas, or features nearer to zero"
        )
    return points.detach().cpu().contiguous().numpy()
