"""What resampling reads: interpolation, pixel shuffling, and the interleaved grids of dense networks."""

from fractions import Fraction
from typing import Any

from atrous.geometry.axis import POINTWISE, AxisMap, Global, Interleaved, Resample, Window
from atrous.geometry.layout import axes_of, plain_dim
from atrous.geometry.operators import Call, Effect, resized, windowed


def resample(call: Call) -> Effect:
    """upsample_nearest, linear, bilinear, bicubic, trilinear, by size or by factor."""
    a = call.arguments
    rank = len(call.shape) - 2
    reach = 2 if "bicubic" in call.operator else 1 if "linear" in call.operator else 0
    factors = _factors(a, rank)
    maps: list[AxisMap] = []
    for place in range(rank):
        size, result = call.sizes[_subject(a)][0][2 + place], call.shape[2 + place]
        slope = 1 / factors[place] if factors else Fraction(size, result)
        if call.operator.startswith("_upsample") and call.operator.endswith("aa"):
            maps.append(Global("antialiased resizing", direct=True))
        elif a.get("align_corners"):
            slope = Fraction(size - 1, max(result - 1, 1)) or Fraction(1)
            maps.append(Resample(slope, Fraction(0), reach))
        elif reach or "exact" in call.operator:
            maps.append(Resample(slope, slope / 2 - (Fraction(1, 2) if reach else 0), reach))
        else:
            maps.append(Resample(slope, Fraction(0), reach))
    return windowed(call, maps, channels=False)


def pixel_shuffle(call: Call) -> Effect:
    """pixel_shuffle: output o reads input o // factor."""
    factor = int(call.arguments["upscale_factor"])
    return windowed(call, [Resample(Fraction(1, factor), Fraction(0), 0)] * 2)


def pixel_unshuffle(call: Call) -> Effect:
    """pixel_unshuffle: a window as wide as its stride."""
    factor = int(call.arguments["downscale_factor"])
    return windowed(call, [Window(factor, factor)] * 2)


def to_phases(call: Call) -> Effect:
    """atrous::to_phases: the grids of every spread-th cell, moved into the batch."""
    spread, kept = call.arguments["spread"], call.arguments["kept"]
    layout = tuple(
        resized(dim, size) if axes_of([dim]) else plain_dim(size)
        for dim, size in zip(call.layout, call.shape, strict=True)
    )
    axes: dict[int, AxisMap] = {
        axis: POINTWISE if step == used else Interleaved(POINTWISE, used, step)
        for axis, (step, used) in enumerate(zip(spread, kept, strict=True))
    }
    return Effect(layout, axes)


def from_phases(call: Call) -> Effect:
    """atrous::from_phases: grids interleaved again, in the order in which their cells are counted."""
    layout = tuple(
        resized(dim, size) if axes_of([dim]) else plain_dim(size)
        for dim, size in zip(call.layout, call.shape, strict=True)
    )
    return Effect(layout, {})


def _subject(arguments: dict[str, Any]) -> str:
    return "input" if "input" in arguments else "self"


def _factors(arguments: dict[str, Any], rank: int) -> list[Fraction] | None:
    """Scale factors as given, where they were given and not a size."""
    given = arguments.get("scale_factors") or [arguments.get(f"scales_{axis}") for axis in "dhw"[-rank:]]
    if given == [None] * rank:
        given = [arguments.get("scales")]
    factors = [Fraction(factor).limit_denominator(1 << 16) for factor in given if factor is not None]
    return factors if len(factors) == rank else None
