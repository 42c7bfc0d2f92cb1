"""The search for the settings of a dense CRF that score best on a validation set: grid, then local search.

Krähenbühl & Koltun 2011, section 5, find weight and bandwidths of the appearance kernel by grid search on a
holdout set. The smoothness kernel hardly matters there. Where classes are thin it does, so here the grid
scales the weights of all kernels together, and the local search each.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Real, UInt8
from torch import Tensor

from atrous.crf.dense_crf import DenseCRF
from atrous.crf.inference_steps import build_filters, refine_logits
from atrous.crf.search_points import Point, plan_blocks, plan_grid, plan_neighbors, settings_at
from atrous.errors import ConfigError

WIDEST_STEP = 0.5  # octaves, of the local search: a factor of 1.41
FINEST_STEP = 0.125  # a factor of 1.09, below which scores hardly change

Example = tuple[Float[Tensor, "k *spatial"], UInt8[np.ndarray, "h w c"] | Real[Tensor, "c *spatial"]]
Score = Callable[[list[np.ndarray]], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings, and what they score; None for the logits as they are."""

    crf: DenseCRF | None
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found, or has found so far.

    Attributes:
        score_without: Of the logits as they are. Where it is not below `score`, no CRF helps: see `helps`.
        trials: All settings tried, in order.
    """

    score_without: float
    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, tried: Sequence[Trial]) -> "SearchResult":
        """The result of what `try_parameters` yielded, at least two trials."""
        return cls(tried[0].score, tuple(tried[1:]))

    @property
    def best(self) -> Trial:
        """Of equally good ones the first tried."""
        return max(self.trials, key=lambda trial: trial.score)

    @property
    def crf(self) -> DenseCRF:
        """The best settings tried."""
        assert self.best.crf is not None
        return self.best.crf

    @property
    def score(self) -> float:
        """Theirs."""
        return self.best.score

    @property
    def helps(self) -> bool:
        """Whether the best settings beat no CRF at all."""
        return self.score > self.score_without


def search_parameters(
    examples: Sequence[Example],
    *,
    score: Score,
    start: DenseCRF | None = None,
    octaves: Sequence[float] = (-1.0, 1.0),
    strengths: Sequence[float] = (-2.0, -4.0),
    budget: int = 100,
) -> SearchResult:
    """The best settings of a dense CRF on examples with known answers; see `SearchResult.helps`.

    First a grid of bandwidths of the `Bilateral` kernels (of all where none is bilateral) and of the strength
    of all kernels together, down to where they change little; then, from the best, each parameter of each
    kernel up and down by a factor, as long as this helps, with factors of 1.41, 1.19 and 1.09. Steps,
    normalization and compatibility stay those of the start. Without randomness: the same examples, the same
    trials. Memory holds one lattice and, for each of the settings that share it, a byte a pixel of all
    examples.

    Args:
        examples: Pairs of logits (k, h, w) and image: RGB (h, w, 3) uint8, or a tensor (c, *spatial) of 0-255
            for any number of channels and axes. Gone through once for every set of bandwidths, so that they
            can be read from files as they are asked for.
        score: Gets the label maps of all examples, int64 (h, w), in order; returns a number, the higher the
            better.
        start: What the search starts from, a `DenseCRF()` unless given.
        octaves: Powers of two by which the grid scales bandwidths, along with 0.
        strengths: Powers of two by which it scales all weights together, along with 0.
        budget: Most settings to try, those of the grid included.

    Raises:
        ConfigError: If there is no example, a kernel is `Gaussian` or has the weight 0, the grid exceeds the
            budget, or a score is NaN.
        ShapeError: If an image and its logits differ in size, or contain what is not finite.
    """
    trials = try_parameters(
        examples, score=score, start=start, octaves=octaves, strengths=strengths, budget=budget
    )
    return SearchResult.of(list(trials))


def try_parameters(
    examples: Sequence[Example],
    *,
    score: Score,
    start: DenseCRF | None = None,
    octaves: Sequence[float] = (-1.0, 1.0),
    strengths: Sequence[float] = (-2.0, -4.0),
    budget: int = 100,
) -> Iterator[Trial]:
    """Search as `search_parameters` does, and yield every trial, the first of them without a CRF.

    Whoever takes them may stop at any time; `SearchResult.of` makes a result of at least two.
    """
    start = start or DenseCRF()
    if not examples:
        raise ConfigError("no examples to search on; give pairs of logits and image")
    if not all(kernel.weight for kernel in start.kernels):
        raise ConfigError("a kernel has the weight 0, which no factor changes; leave it out, or give it one")
    grid = plan_grid(start, octaves, strengths)
    if len(grid) > budget:
        raise ConfigError(
            f"a grid of {len(grid)} settings exceeds the budget of {budget}; raise it, or search from Python "
            "with fewer octaves or strengths"
        )
    search = _Search(examples, score, start, budget)
    yield Trial(None, search.rate([_label_map(logits) for logits, _ in examples]))
    yield from search.try_points(grid)
    step = WIDEST_STEP
    while step >= FINEST_STEP:
        before = search.best
        for coordinates in plan_blocks(start):
            yield from search.try_points(plan_neighbors(search.best, coordinates, step))
        if search.best == before:
            step /= 2


@dataclass(slots=True)
class _Search:
    """What is searched, and everything tried so far."""

    examples: Sequence[Example]
    score: Score
    start: DenseCRF
    budget: int
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
            crfs = {point: settings_at(self.start, point) for point in group}
            label_maps = self._label_maps(tuple(crfs.values()))
            for point, crf in crfs.items():
                self.tried[point] = Trial(crf, self.rate(label_maps.pop(crf)))
                yield self.tried[point]

    def rate(self, label_maps: list[np.ndarray]) -> float:
        """The score, which must be a number."""
        value = float(self.score([label_map.astype(np.int64) for label_map in label_maps]))
        if math.isnan(value):
            raise ConfigError("a score is NaN, which has no best; give a function that returns numbers")
        return value

    def _label_maps(self, crfs: Sequence[DenseCRF]) -> dict[DenseCRF, list[np.ndarray]]:
        """Label maps of all examples by each of some settings that share their bandwidths."""
        label_maps: dict[DenseCRF, list[np.ndarray]] = {crf: [] for crf in crfs}
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
    pixels = (
        image if isinstance(image, Tensor) else torch.from_numpy(np.atleast_3d(image).copy()).movedim(-1, 0)
    )
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
