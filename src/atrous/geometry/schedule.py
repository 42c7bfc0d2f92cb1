"""Which dilations to use: the schedules without holes for a wanted receptive field, best first."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atrous.errors import GeometryError
from atrous.geometry.axis import same_padding
from atrous.geometry.coverage import coverage
from atrous.geometry.graph import Layer
from atrous.geometry.schedule_search import fewest_layers, greatest_sum, most_even

MOST_CELLS = 4096  # of a field to design for; the search takes seconds there
MOST_LAYERS = 64
MOST_TAPS = 255
MOST_SCHEDULES = 100


@dataclass(frozen=True, slots=True)
class Schedule:
    """The dilations of a stack of layers at stride 1, from the input on, and what its last cell sees.

    The order of the layers changes neither the field nor how often a cell is seen, only what is read beyond
    the borders of an image. Designed schedules rise, as most do: neighbors first, then what is far.

    Attributes:
        dilations: One a layer.
        kernel_size: Taps of every layer.
        causal: Whether it looks back only, so that the field ends at the present sample.
    """

    dilations: tuple[int, ...]
    kernel_size: int = 3
    causal: bool = False

    def __post_init__(self) -> None:
        if not self.dilations or min(self.dilations) < 1:
            raise GeometryError(
                f"dilations {list(self.dilations)} are no schedule; give some, each at least 1"
            )
        if self.kernel_size < 2:
            raise GeometryError(
                f"kernel_size {self.kernel_size} sees one cell whatever its dilation; give 2 or more"
            )

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.dilations)

    @property
    def receptive_field(self) -> int:
        """Cells from the first that is seen to the last, 1 + (k - 1) times the sum of the dilations."""
        return 1 + (self.kernel_size - 1) * sum(self.dilations)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The stack, for `trace`, `coverage` and `receptive_field`; a causal one as if centered."""
        return tuple(Layer(kernel_size=self.kernel_size, dilation=dilation) for dilation in self.dilations)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Cells (before, after) that each layer adds to keep the size."""
        if self.causal:
            return tuple((dilation * (self.kernel_size - 1), 0) for dilation in self.dilations)
        return tuple(same_padding(self.kernel_size, dilation) for dilation in self.dilations)

    @property
    def seen(self) -> Bool[np.ndarray, " cells"]:
        """Which cells of the field are read at all."""
        return coverage(self.layers).seen

    @property
    def fraction(self) -> float:
        """Share of the field that is seen; 1 where there are no holes."""
        return float(self.seen.mean())

    @property
    def density(self) -> Float[np.ndarray, " cells"]:
        """Share of all k^layers paths that start at each cell of the field."""
        return coverage(self.layers).density

    @property
    def evenness(self) -> float:
        """Share of the field that would count as much if all its cells counted the same; 1 is even.

        (sum c)^2 / (n sum c^2) = 1 / (1 + v^2), where c are the paths from each of the n cells and v is their
        coefficient of variation: the effective sample size of Kish (Survey Sampling, 1965), as a share. It is
        preferred to entropy because it speaks of cells (67 cells at 0.9 average out noise as 60 alike would)
        and is a ratio of whole numbers with bounds that make the search exact. Holes are cells without paths.
        """
        density = self.density
        return min(float(1 / (len(density) * (density @ density))), 1.0)


def design_schedules(
    *,
    receptive_field: int,
    kernel_size: int = 3,
    max_layers: int = 8,
    max_dilation: int | None = None,
    output_stride: int = 1,
    causal: bool = False,
    count: int = 5,
) -> tuple[Schedule, ...]:
    """Schedules without holes that see a wanted field, best first: fewest layers, then the evenest density.

    All of them see the smallest field, from the asked one on, that there is: 1 + (k - 1) s cells. Where fewer
    than `count` have the least depth, those with a layer more follow. Depth, field and freedom from holes are
    proved; `schedule_search.most_even` says how far evenness is.

    >>> [schedule.dilations for schedule in design_schedules(receptive_field=67, count=2)]
    [(1, 3, 9, 20), (1, 3, 8, 21)]

    Args:
        receptive_field: Pixels of the image from the first to the last that are looked at.
        kernel_size: Taps of every layer.
        max_layers: Greatest number of layers.
        max_dilation: Greatest dilation; any unless given.
        output_stride: Pixels from one cell that the schedule reads to the next; c cells reach over
            1 + (c - 1) stride pixels. What each cell itself sees beyond one pixel (379 px behind the front
            end of Dilation8) comes on top and may be subtracted from what is asked.
        causal: Whether layers pad before only, as for sound; the dilations are the same.
        count: Number of schedules; fewer come back where there are no more.

    Raises:
        GeometryError: If no schedule sees so much, with the greatest field that one does, or a value means
            nothing.
    """
    _check_range("kernel_size", kernel_size, least=2, most=MOST_TAPS)
    _check_range("max_layers", max_layers, most=MOST_LAYERS)
    _check_range("max_dilation", max_dilation)
    _check_range("output_stride", output_stride)
    _check_range("count", count, most=MOST_SCHEDULES)
    total = _needed_sum(receptive_field, kernel_size=kernel_size, output_stride=output_stride)
    highest = min(max_dilation or total, total)
    fewest = fewest_layers(total, kernel_size=kernel_size, max_dilation=highest)
    if fewest > max_layers:
        raise GeometryError(
            _why_impossible(total, kernel_size=kernel_size, max_layers=max_layers, max_dilation=max_dilation)
        )
    found: list[tuple[int, ...]] = []
    for num_layers in range(fewest, min(max_layers, total) + 1):
        found += most_even(
            num_layers,
            total=total,
            kernel_size=kernel_size,
            max_dilation=highest,
            count=count - len(found),
        )
        if len(found) == count:
            break
    return tuple(Schedule(dilations, kernel_size=kernel_size, causal=causal) for dilations in found)


def _check_range(name: str, value: int | None, *, least: int = 1, most: int | None = None) -> None:
    if value is not None and not least <= value <= (most or value):
        rule = f"{least} to {most}" if most else f"at least {least}"
        raise GeometryError(f"{name} {value} is impossible; give {rule}")


def _needed_sum(receptive_field: int, *, kernel_size: int, output_stride: int) -> int:
    """Sum of the dilations whose field reaches from the first to the last of so many pixels."""
    if receptive_field < 2:
        raise GeometryError(f"receptive_field {receptive_field} takes no layer; give 2 or more")
    steps = -(-(receptive_field - 1) // output_stride)
    if steps >= MOST_CELLS:
        raise GeometryError(
            f"receptive_field {receptive_field} at output_stride {output_stride} is more than the "
            f"{MOST_CELLS} cells that are searched; give a larger stride, or take the exponential schedule"
        )
    return -(-steps // (kernel_size - 1))


def _why_impossible(total: int, *, kernel_size: int, max_layers: int, max_dilation: int | None) -> str:
    """The greatest field that so many layers see, and what would do."""

    def reached(highest: int) -> int:
        return int(greatest_sum(max_layers, kernel_size=kernel_size, max_dilation=highest)[0])

    highest = max_dilation or total
    fewest = fewest_layers(total, kernel_size=kernel_size, max_dilation=highest)
    ways = [f"max_layers {fewest} or more"] if fewest <= MOST_LAYERS else []
    if reached(total) >= total:
        enough = next(dilation for dilation in range(highest, total + 1) if reached(dilation) >= total)
        ways.append(f"max_dilation {enough} or more")
    limits = f" with dilations up to {max_dilation}" if max_dilation else ""
    return (
        f"{max_layers} layers of kernel {kernel_size}{limits} see at most "
        f"{1 + (kernel_size - 1) * reached(highest)} cells without holes, not "
        f"{1 + (kernel_size - 1) * total}, as no dilation may exceed the field of the smaller ones; "
        f"give {', or '.join(ways) or 'more layers and larger dilations'}"
    )
