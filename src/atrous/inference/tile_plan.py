"""Which tiles an image is cut into: arithmetic on sizes, halos and budgets, without torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from atrous.errors import ConfigError, ShapeError

Number = int | Fraction
MultiplyAdds = tuple[Number, Number, Number, Number]


@dataclass(frozen=True, slots=True)
class TileAxis:
    """What cutting a network's input along one axis needs to know, for sizes of one remainder.

    Sizes that differ by multiples of the alignment have the same borders; only such are tiles of each other.

    Attributes:
        alignment: Pixels from one place where a tile may start to the next.
        cells: Output cells in that many pixels.
        size: Pixels of one input; it stands for all of its remainder.
        num_cells: Its output cells.
        halo: Pixels before and after its own that an output cell sees.
        lost: Output cells at an inner edge that lack a part of their halo, at a tile's start and at its end.
        shortest: Pixels of the shortest tile on which the network runs, and where what a true border reflects
            does not see the tile's other edge.
    """

    alignment: int
    cells: int
    size: int
    num_cells: int
    halo: tuple[int, int] = (0, 0)
    lost: tuple[int, int] = (0, 0)
    shortest: int = 1

    def periods(self, size: int) -> int:
        """Alignments that an input of this size has more than `self.size`.

        Raises:
            ShapeError: If it has another remainder.
        """
        periods, rest = divmod(size - self.size, self.alignment)
        if rest:
            raise ShapeError(
                f"{size} px are no tile of {self.size} px; give a size that differs by a multiple of "
                f"{self.alignment}"
            )
        return periods

    def num_cells_of(self, size: int) -> int:
        """Output cells of an input of this size."""
        return self.num_cells + self.periods(size) * self.cells

    def longest_step(self, tile_size: int) -> int:
        """Pixels from one tile's start to the next that leave no cell out; 0 or less where none do."""
        return (self.num_cells_of(tile_size) - sum(self.lost)) // self.cells * self.alignment

    def num_tiles(self, size: int, tile_size: int) -> int:
        """Tiles of this size that it takes; 0 if any number is too few."""
        if size == tile_size:
            return 1
        step = self.longest_step(tile_size)
        if step <= 0 or tile_size < self.shortest:
            return 0
        return 1 - (tile_size - size) // step


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis.

    Attributes:
        start: Its first pixel in the image.
        kept: First of its own cells that is kept, and the one after the last.
        cells: Where they belong among the cells of the image.
    """

    start: int
    kept: tuple[int, int]
    cells: tuple[int, int]


def plan_axis(axis: TileAxis, *, size: int, tile_size: int) -> tuple[Span, ...]:
    """Tiles of one size from the first pixel to the last, as few as can be.

    The first starts where the image starts and the last ends where it ends, so that the network pads at the
    image's own borders only; every start is a multiple of the alignment, so that strides keep their phase.

    Raises:
        ShapeError: If tiles of that size cannot cover the image.
    """
    num_tiles = axis.num_tiles(size, tile_size)
    if num_tiles < 1 or tile_size > size:
        raise ShapeError(
            f"tiles of {tile_size} px do not cover {size} px: each loses {sum(axis.lost)} of its "
            f"{axis.num_cells_of(tile_size)} cells at inner edges; take larger ones"
        )
    step, num_cells = axis.longest_step(tile_size), axis.num_cells_of(tile_size)
    spans: list[Span] = []
    done = 0
    for number in range(num_tiles):
        start = min(number * step, size - tile_size)
        offset = start // axis.alignment * axis.cells
        stop = num_cells - (axis.lost[1] if number < num_tiles - 1 else 0)
        spans.append(Span(start, (done - offset, stop), (done, offset + stop)))
        done = offset + stop
    return tuple(spans)


@dataclass(frozen=True, slots=True)
class TileCost:
    """What a tile costs, as a function of its size.

    Attributes:
        multiply_adds: Of a tile of the axes' own size; then what a period more of rows adds, one more of
            columns, and one more of both beyond that.
        bytes_per_pixel: Of the activations that are alive at once, the most at any time.
    """

    multiply_adds: MultiplyAdds
    bytes_per_pixel: Number

    def multiply_adds_of(self, periods: tuple[int, int]) -> Number:
        """Of a tile so many periods longer and wider than the axes' own size."""
        once, for_rows, for_columns, for_both = self.multiply_adds
        rows, columns = periods
        return once + for_rows * rows + for_columns * columns + for_both * rows * columns

    def bytes_of(self, tile_size: tuple[int, int]) -> int:
        """Bytes of activations of a tile, rounded up."""
        return -int(-self.bytes_per_pixel * tile_size[0] * tile_size[1] // 1)


@dataclass(frozen=True, slots=True)
class TilePlan:
    """A grid of tiles of one size.

    Attributes:
        size: Pixels of the image (h, w), margin included where the network has one.
        tile_size: Pixels of every tile (h, w).
        rows: The tiles from top to bottom.
        columns: The tiles from left to right.
        tile_cells: Output cells of every tile (h, w), those included that are discarded.
        multiply_adds: Of all tiles together.
        num_bytes: Of the activations of one tile.
    """

    size: tuple[int, int]
    tile_size: tuple[int, int]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    tile_cells: tuple[int, int]
    multiply_adds: int
    num_bytes: int

    @property
    def num_tiles(self) -> int:
        """How many there are."""
        return len(self.rows) * len(self.columns)

    @property
    def area(self) -> int:
        """Pixels of all tiles together; more than the image has, by the halos."""
        return self.num_tiles * self.tile_size[0] * self.tile_size[1]

    @property
    def num_cells(self) -> tuple[int, int]:
        """Output cells of the image (h, w)."""
        return self.rows[-1].cells[1], self.columns[-1].cells[1]


def plan_tiles(
    size: tuple[int, int], axes: tuple[TileAxis, TileAxis], cost: TileCost, *, memory_budget: int
) -> TilePlan:
    """The grid of tiles that takes the fewest multiply-adds of all that fit in the budget.

    Every useful number of rows and columns is tried, each with the smallest tile that it can do with. Among
    equals the one of the smallest area is taken, then that of the fewest tiles, then the widest.

    Args:
        size: Pixels of the image (h, w).
        axes: Of the height and of the width.
        cost: Of a tile.
        memory_budget: Bytes for the activations of one tile.

    Raises:
        ConfigError: If even the smallest tiles take more.
    """
    heights, widths = (list(_candidates(axis, side)) for axis, side in zip(axes, size, strict=True))
    best: tuple[tuple[Number, int, int, int], tuple[int, int]] | None = None
    for num_rows, height in heights:
        for num_columns, width in widths:
            if cost.bytes_of((height, width)) > memory_budget:
                break
            count = num_rows * num_columns
            periods = axes[0].periods(height), axes[1].periods(width)
            total = count * cost.multiply_adds_of(periods)
            rank = (total, count * height * width, count, -width)
            if best is None or rank < best[0]:
                best = rank, (height, width)
    if best is None:
        smallest = heights[0][1], widths[0][1]
        raise ConfigError(
            f"the smallest tiles of {size[0]} x {size[1]} px are {smallest[0]} x {smallest[1]} px and take "
            f"{cost.bytes_of(smallest)} bytes, more than the budget of {memory_budget}; give more"
        )
    (multiply_adds, *_), tile_size = best
    rows, columns = (
        plan_axis(axis, size=side, tile_size=tile_side)
        for axis, side, tile_side in zip(axes, size, tile_size, strict=True)
    )
    tile_cells = axes[0].num_cells_of(tile_size[0]), axes[1].num_cells_of(tile_size[1])
    return TilePlan(
        size, tile_size, rows, columns, tile_cells, round(multiply_adds), cost.bytes_of(tile_size)
    )


def _candidates(axis: TileAxis, size: int) -> Iterator[tuple[int, int]]:
    """Numbers of tiles with the smallest tile that each needs, from the smallest tile to the whole axis."""
    fewest = 0
    first = (size - 1) % axis.alignment + 1
    for tile_size in range(first, size + 1, axis.alignment):
        num_tiles = axis.num_tiles(size, tile_size)
        if num_tiles and (not fewest or num_tiles < fewest):
            fewest = num_tiles
            yield num_tiles, tile_size
