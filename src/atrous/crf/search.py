"""The search for the settings of a dense CRF that score best on a validation set: grid, then local search.

Krähenbühl & Koltun 2011, section 5, find weight and bandwidths of the appearance kernel by grid search on a
holdout set; the smoothness kernel hardly matters there, so here it is left to the local search.
"""

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Real, UInt8
from torch import Tensor

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.inference_steps import build_filters, refine_logits
from atrous.crf.kernels import Bilateral, Kernel, PerAxis, Spatial
from atrous.errors import ConfigError

WIDEST_STEP = 0.5  # octaves, of the local search: a factor of 1.41
FINEST_STEP = 0.125  # a factor of 1.09, below which scores hardly change

Example = tuple[Float[Tensor, "k *spatial"], UInt8[np.ndarray, "h w c"] | Real[Tensor, "c *spatial"]]
Score = Callable[[list[np.ndarray]], float]
Point = tuple[float, ...]  # octaves above the start: of all bandwidths, then of all weights


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings, and what they score."""

    crf: DenseCRF
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        crf: The best settings tried.
        score: Theirs.
        score_without: Of the logits as they are. Where it is not below `score`, no CRF helps: see `helps`.
        trials: All settings tried, in order.
    """

    crf: DenseCRF
    score: float
    score_without: float
    trials: tuple[Trial, ...]

    @property
    def helps(self) -> bool:
        """Whether the best settings beat no CRF at all."""
        return self.score > self.score_without


def search_parameters(
    examples: Sequence[Example],
    *,
    score: Score,
    start: DenseCRF | None = None,
    octaves: Sequence[float] = (-1.0, 0.0, 1.0),
    budget: int = 100,
    known: Sequence[Trial] = (),
) -> SearchResult:
    """The best settings of a dense CRF on examples with known answers; `try_parameters`, run to its end.

    Look at `SearchResult.helps` before you use them.
    """
    steps = try_parameters(examples, score=score, start=start, octaves=octaves, budget=budget, known=known)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def try_parameters(
    examples: Sequence[Example],
    *,
    score: Score,
    start: DenseCRF | None = None,
    octaves: Sequence[float] = (-1.0, 0.0, 1.0),
    budget: int = 100,
    known: Sequence[Trial] = (),
) -> Generator[Trial, None, SearchResult]:
    """Search, and yield every trial; steps, normalization and compatibility stay those of the start.

    First all combinations of the `Bilateral` kernels' bandwidths and weights on a grid (of all kernels' where
    none is bilateral); then, from the best, each parameter of each kernel up and down by a factor, as long as
    this helps, with factors of 1.41, 1.19 and 1.09. Without randomness: the same examples, the same trials.
    Memory holds one lattice and, for each of the settings that share it, a byte a pixel of all examples.

    Args:
        examples: Pairs of logits (k, h, w) and image: RGB (h, w, 3) uint8, or a tensor (c, *spatial) of 0-255
            for any number of channels and axes. Gone through once for every set of bandwidths, so that they
            can be read from files as they are asked for.
        score: Gets the label maps of all examples, int64 (h, w), in order; returns a number, the higher the
            better.
        start: What the search starts from, a `DenseCRF()` unless given.
        octaves: Powers of two by which the grid scales the start's parameters, along with 0.
        budget: Most settings to try, those of the grid included.
        known: Trials of a search that was cut off, with the same examples, score, start and octaves; they are
            yielded again without being scored.

    Raises:
        ConfigError: If there is no example, a kernel is `Gaussian` or has the weight 0, the grid exceeds the
            budget, or a score is NaN.
        ShapeError: If an image and its logits differ in size, or contain what is not finite.
    """
    start = start or DenseCRF()
    if not examples:
        raise ConfigError("no examples to search on; give pairs of logits and image")
    if not all(kernel.weight for kernel in start.kernels):
        raise ConfigError("a kernel has the weight 0, which no factor changes; leave it out, or give it one")
    grid = _plan_grid(start, octaves)
    if len(grid) > budget:
        raise ConfigError(
            f"a grid of {len(grid)} settings exceeds the budget of {budget}; raise it, or give fewer octaves"
        )
    search = _Search(examples, score, start, budget, {trial.crf: trial for trial in known})
    score_without = search.rate([_label_map(logits) for logits, _ in examples])
    yield from search.try_points(grid)
    step = WIDEST_STEP
    while step >= FINEST_STEP:
        before = search.best
        for coordinates in _plan_blocks(start):
            yield from search.try_points(_neighbors(search.best, coordinates, step))
        if search.best == before:
            step /= 2
    best = search.tried[search.best]
    return SearchResult(best.crf, best.score, score_without, tuple(search.tried.values()))


@dataclass(slots=True)
class _Search:
    """What is searched, and everything tried so far."""

    examples: Sequence[Example]
    score: Score
    start: DenseCRF
    budget: int
    known: dict[DenseCRF, Trial]
    tried: dict[Point, Trial] = field(default_factory=dict)

    @property
    def best(self) -> Point:
        """Of equally good ones the first tried."""
        return max(self.tried, key=lambda point: self.tried[point].score)

    def try_points(self, points: Sequence[Point]) -> Iterator[Trial]:
        """Score what is new and within the budget; those that share their bandwidths share lattices."""
        new = [point for point in dict.fromkeys(points) if point not in self.tried]
        new = new[: self.budget - len(self.tried)]
        for _, group in itertools.groupby(new, key=lambda point: point[: -len(self.start.kernels)]):
            crfs = {point: _at(self.start, point) for point in group}
            label_maps = self._label_maps([crf for crf in crfs.values() if crf not in self.known])
            for point, crf in crfs.items():
                trial = self.known.get(crf) or Trial(crf, self.rate(label_maps.pop(crf)))
                self.tried[point] = trial
                yield trial

    def rate(self, label_maps: list[np.ndarray]) -> float:
        """The score, which must be a number."""
        value = float(self.score([label_map.astype(np.int64) for label_map in label_maps]))
        if math.isnan(value):
            raise ConfigError("a score is NaN, which has no best; give a function that returns numbers")
        return value

    def _label_maps(self, crfs: list[DenseCRF]) -> dict[DenseCRF, list[np.ndarray]]:
        """Label maps of all examples by each of some settings that share their bandwidths."""
        label_maps: dict[DenseCRF, list[np.ndarray]] = {crf: [] for crf in crfs}
        if crfs:
            for logits, image in self.examples:
                for crf, label_map in zip(crfs, _refined(logits, image, crfs), strict=True):
                    label_maps[crf].append(label_map)
        return label_maps


@torch.no_grad()
def _refined(
    logits: Float[Tensor, "k *spatial"],
    image: UInt8[np.ndarray, "h w c"] | Real[Tensor, "c *spatial"],
    crfs: Sequence[DenseCRF],
) -> list[np.ndarray]:
    """Label maps by each of some settings that share their bandwidths, and so one lattice."""
    precise = logits[None].to(torch.promote_types(logits.dtype, torch.float32))
    pixels = image if isinstance(image, Tensor) else torch.from_numpy(image.copy()).permute(2, 0, 1)
    filters = build_filters(
        precise, pixels[None], kernels=crfs[0].kernels, normalization=crfs[0].normalization
    )
    label_maps = []
    for crf in crfs:
        weights = precise.new_tensor([kernel.weight for kernel in crf.kernels])
        refined = refine_logits(
            precise, filters, weights=weights, compatibility=crf.costs(precise), num_steps=crf.num_steps
        )
        label_maps.append(_label_map(refined[0]))
    return label_maps


def _label_map(logits: Float[Tensor, "k *spatial"]) -> np.ndarray:
    """The class with the highest score at every pixel, in 8 bits where these do."""
    dtype = torch.uint8 if len(logits) <= 256 else torch.int32
    return logits.argmax(0).to(dtype).cpu().numpy()


def _plan_grid(start: DenseCRF, octaves: Sequence[float]) -> list[Point]:
    """All combinations, the start first; those that share their bandwidths stand next to each other."""
    appearance = [isinstance(kernel, Bilateral) for kernel in start.kernels]
    chosen = appearance if any(appearance) else [True] * len(appearance)
    of_bandwidths = [
        is_chosen
        for kernel, is_chosen in zip(start.kernels, chosen, strict=True)
        for _ in range(_num_bandwidths(kernel))
    ]
    steps = tuple(sorted({0.0, *octaves}, key=lambda step: (abs(step), step)))
    return list(itertools.product(*(steps if is_chosen else (0.0,) for is_chosen in of_bandwidths + chosen)))


def _plan_blocks(start: DenseCRF) -> list[range]:
    """Coordinates whose neighbors are tried together: each bandwidth alone, then all weights."""
    num_bandwidths = sum(map(_num_bandwidths, start.kernels))
    weights = range(num_bandwidths, num_bandwidths + len(start.kernels))
    return [*(range(place, place + 1) for place in range(num_bandwidths)), weights]


def _neighbors(point: Point, coordinates: range, step: float) -> list[Point]:
    """The point moved up and down along each of some coordinates."""
    return [
        (*point[:place], point[place] + move, *point[place + 1 :])
        for place in coordinates
        for move in (step, -step)
    ]


def _at(start: DenseCRF, point: Point) -> DenseCRF:
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
