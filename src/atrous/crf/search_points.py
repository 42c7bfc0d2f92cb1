"""Which settings of a dense CRF a search tries: points in octaves round those it starts from."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.kernels import Bilateral, Kernel, PerAxis, Spatial
from atrous.errors import ConfigError

Point = tuple[float, ...]  # octaves above the start: of all bandwidths, then of all weights


def plan_grid(start: DenseCRF, octaves: Sequence[float], strengths: Sequence[float]) -> list[Point]:
    """All combinations, the start first; those that share their bandwidths stand next to each other."""
    has_appearance = any(isinstance(kernel, Bilateral) for kernel in start.kernels)
    of_bandwidths = [
        _nearest_first(octaves) if isinstance(kernel, Bilateral) or not has_appearance else (0.0,)
        for kernel in start.kernels
        for _ in range(_num_bandwidths(kernel))
    ]
    return [
        (*bandwidths, *(strength,) * len(start.kernels))
        for bandwidths in itertools.product(*of_bandwidths)
        for strength in _nearest_first(strengths)
    ]


def _nearest_first(steps: Sequence[float]) -> tuple[float, ...]:
    """The steps and 0, which comes first."""
    return tuple(sorted({0.0, *steps}, key=lambda step: (abs(step), step)))


def plan_blocks(start: DenseCRF) -> list[range]:
    """Coordinates whose neighbors are tried together: each bandwidth alone, then all weights."""
    num_bandwidths = sum(map(_num_bandwidths, start.kernels))
    weights = range(num_bandwidths, num_bandwidths + len(start.kernels))
    return [*(range(place, place + 1) for place in range(num_bandwidths)), weights]


def plan_neighbors(point: Point, coordinates: range, step: float) -> list[Point]:
    """The point moved up and down along each of some coordinates."""
    return [
        (*point[:place], point[place] + move, *point[place + 1 :])
        for place in coordinates
        for move in (step, -step)
    ]


def settings_at(start: DenseCRF, point: Point) -> DenseCRF:
    """The start with its bandwidths and weights scaled by powers of two."""
    factors = iter([2.0**octaves for octaves in point])
    resized = [_resized(kernel, factors) for kernel in start.kernels]
    return replace(
        start,
        kernels=tuple(
            replace(kernel, weight=kernel.weight * factor)
            for kernel, factor in zip(resized, factors, strict=True)
        ),
    )


def _num_bandwidths(kernel: Kernel) -> int:
    return 2 if isinstance(kernel, Bilateral) else 1


def _resized(kernel: Kernel, factors: Iterator[float]) -> Kernel:
    """The kernel with its bandwidths scaled by the next factors."""
    match kernel:
        case Spatial():
            return replace(kernel, sigma=_times(kernel.sigma, next(factors)))
        case Bilateral():
            sigma_xy = _times(kernel.sigma_xy, next(factors))
            return replace(kernel, sigma_xy=sigma_xy, sigma_rgb=_times(kernel.sigma_rgb, next(factors)))
        case _:
            raise ConfigError(
                "a Gaussian kernel has no bandwidths to search; give Spatial and Bilateral ones"
            )


def _times(sigma: PerAxis, factor: float) -> PerAxis:
    return tuple(part * factor for part in sigma) if isinstance(sigma, tuple) else sigma * factor
