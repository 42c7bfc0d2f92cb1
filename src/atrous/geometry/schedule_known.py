"""The schedules that people know, for comparison, and what any stack of dilations sees."""

from collections.abc import Sequence
from itertools import cycle

from atrous.errors import GeometryError
from atrous.geometry.schedule import Schedule
from atrous.geometry.schedule_search import fewest_layers

HDC_GROUP = (1, 2, 5, 9)  # Wang et al. 2018, "Dilation-bigger"


def exponential_schedule(
    receptive_field: int, *, kernel_size: int = 3, max_dilation: int | None = None, causal: bool = False
) -> Schedule:
    """Dilations 1, 2, 4, ... until the field is reached, from 1 again after the greatest one allowed.

    Yu & Koltun 2016; with a greatest dilation as in WaveNet, van den Oord et al. 2016.

    >>> exponential_schedule(63).dilations
    (1, 2, 4, 8, 16)

    Args:
        receptive_field: Cells to see, at least 2.
        kernel_size: Taps of every layer.
        max_dilation: Greatest dilation; any unless given.
        causal: Whether layers pad before only.

    Raises:
        GeometryError: If a value means nothing.
    """
    highest = receptive_field if max_dilation is None else max_dilation
    group = [2**power for power in range(highest.bit_length())] if highest > 0 else []
    return _repeated(group, receptive_field, kernel_size=kernel_size, causal=causal)


def hdc_schedule(
    receptive_field: int, *, kernel_size: int = 3, max_dilation: int | None = None, causal: bool = False
) -> Schedule:
    """Hybrid dilated convolution: 1, 2, 5, 9 over and over until the field is reached.

    Wang et al. 2018, "Understanding convolution for semantic segmentation"; made for kernels of 3.

    Args:
        receptive_field: Cells to see, at least 2.
        kernel_size: Taps of every layer.
        max_dilation: Greatest dilation; the groups leave out larger ones.
        causal: Whether layers pad before only.

    Raises:
        GeometryError: If a value means nothing.
    """
    group = [dilation for dilation in HDC_GROUP if max_dilation is None or dilation <= max_dilation]
    return _repeated(group, receptive_field, kernel_size=kernel_size, causal=causal)


def explain_schedule(dilations: Sequence[int], *, kernel_size: int = 3) -> str:
    """What a stack of dilations sees, and what is wrong with it, in a sentence.

    >>> explain_schedule([1, 2, 9])
    '1, 2, 9 sees 21 of 25 cells: dilation 9 is more than the 7 cells that smaller ones cover; give at most 7'

    Raises:
        GeometryError: If there is no dilation, one is below 1, or the kernel sees one cell.
    """
    schedule = Schedule(tuple(dilations), kernel_size=kernel_size)
    seen = schedule.seen
    words = f"{', '.join(map(str, dilations))} sees {seen.sum()} of {len(seen)} cells"
    covered = 1
    for dilation in sorted(dilations):
        if dilation > covered:
            return (
                f"{words}: dilation {dilation} is more than the {covered} "
                f"{'cells that smaller ones cover' if covered > 1 else 'cell that there is before it'}; "
                f"give at most {covered}"
            )
        covered += (kernel_size - 1) * dilation
    total = sum(dilations)
    fewest = fewest_layers(total, kernel_size=kernel_size, max_dilation=total)
    enough = "no fewer are" if fewest == len(dilations) else f"{fewest} are"
    return (
        f"{words} in {len(dilations)} layers, evenness {schedule.evenness:.2f}; {enough} enough for as many"
    )


def _repeated(group: Sequence[int], receptive_field: int, *, kernel_size: int, causal: bool) -> Schedule:
    """A group over and over, until the field is reached."""
    if receptive_field < 2 or kernel_size < 2 or not group:
        raise GeometryError(
            f"a field of {receptive_field} with kernels of {kernel_size} and dilations {list(group)} is no "
            "schedule; give a field and kernels of at least 2, and a greatest dilation of at least 1"
        )
    dilations: list[int] = []
    for dilation in cycle(group):
        dilations.append(dilation)
        if 1 + (kernel_size - 1) * sum(dilations) >= receptive_field:
            break
    return Schedule(tuple(dilations), kernel_size=kernel_size, causal=causal)
