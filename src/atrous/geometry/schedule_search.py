"""The search for dilations without holes whose paths spread most evenly: bounds, then meet in the middle.

L layers of k taps send k^L paths from an output to its field. Sorted, their dilations leave no hole exactly
if each is at most the field of the smaller ones (after Brown 1961, "Note on complete sequences of integers"):
a larger one steps over the first cell behind that field, which nothing larger reaches; any other joins onto
it. So a stack grows one dilation at a time; and as every stack but the greatest stays without holes when the
right one of its dilations grows by one, every sum up to the greatest is reached.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BEAM = 128  # beginnings followed to get a first bound
FEW_TAILS = 20_000
WORK = 200_000_000  # numbers that the open beginnings, or the tails that complete them, may take at any depth
PAIRS = 100  # times as many multiplications of beginnings with tails
SLACK = 1 + 1e-9  # of a bound, for rounding; what is closer counts as equally even


def greatest_sum(
    num_layers: int, *, kernel_size: int, max_dilation: int, sums: Int[np.ndarray, " n"] | int = 0
) -> Int[np.ndarray, " n"]:
    """Greatest sum of dilations without holes that layers reach on top of those that sum to `sums`."""
    reached = np.atleast_1d(np.asarray(sums))
    for _ in range(num_layers):
        reached = reached + np.minimum(max_dilation, 1 + (kernel_size - 1) * reached)
    return reached


def fewest_layers(total: int, *, kernel_size: int, max_dilation: int) -> int:
    """Least number of layers whose dilations sum to `total` without holes."""
    num_layers, reached = 0, 0
    while reached < total:
        reached += min(max_dilation, 1 + (kernel_size - 1) * reached)
        num_layers += 1
    return num_layers


def most_even(
    num_layers: int, *, total: int, kernel_size: int, max_dilation: int, count: int
) -> tuple[tuple[int, ...], ...]:
    """The `count` evenest stacks without holes whose dilations sum to `total`, evenest first.

    Of equally even ones, that with the smaller largest dilation comes first. All stacks are considered as
    long as the bounds leave at most `WORK` / field beginnings open at every depth, as in each of 1,000 random
    tasks with kernels from 3 on, up to 1,000 cells and 12 layers. Else, mostly for kernels of 2 with a
    greatest dilation, only the most promising are followed.
    """
    search = _Search(kernel_size, num_layers=num_layers, total=total, max_dilation=max_dilation, count=count)
    best = search.follow({}, width=BEAM)
    return tuple(search.follow(best, width=None))


_Best = dict[tuple[int, ...], float]  # dilations: chance that two random paths end at one input


@dataclass(frozen=True, slots=True)
class _Search:
    """All stacks of one depth and sum; rows of dilations that grow from the smallest on."""

    kernel_size: int
    num_layers: int
    total: int
    max_dilation: int
    count: int

    @property
    def cells(self) -> int:
        return 1 + (self.kernel_size - 1) * self.total

    @property
    def period(self) -> int:
        """Cells of the circle that the field fits on; a length that is fast to transform."""
        return -(-self.cells // 32) * 32

    @property
    def most(self) -> int:
        return max(WORK // self.period, BEAM)

    def follow(self, best: _Best, *, width: int | None) -> _Best:
        """The best of all that the bounds leave open, or of `width` beginnings at every depth."""
        limit = self._limit(best)
        heads = np.ones((1, 1), dtype=int)
        while len(heads):
            left = self.num_layers - heads.shape[1]
            totals = dict.fromkeys(heads.sum(axis=1).tolist())
            room = max(FEW_TAILS, min(4 * len(heads), self.most)) if left > 2 else self.most
            tails = self._tails_of(heads, list(totals), left=left, room=room)
            if left <= 2 or len(tails) == len(totals):
                return self._meet(heads, tails, best)
            heads = self._extend(heads, limit)[:width]
        return best

    def _limit(self, best: _Best) -> float:
        return max(best.values()) * SLACK if len(best) == self.count else np.inf

    def _steps(
        self, sums: Int[np.ndarray, " n"], last: Int[np.ndarray, " n"], left: int
    ) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Every next dilation, and whose it is, with which `left` layers can still complete the total."""
        highest = np.minimum(self.max_dilation, 1 + (self.kernel_size - 1) * sums)
        highest = np.minimum(highest, (self.total - sums) // left)
        number = np.maximum(highest - last + 1, 0)
        rows = np.repeat(np.arange(len(sums)), number)
        dilations = np.arange(len(rows)) - np.repeat(np.cumsum(number) - number, number) + last[rows]
        reached = greatest_sum(
            left - 1,
            kernel_size=self.kernel_size,
            max_dilation=self.max_dilation,
            sums=sums[rows] + dilations,
        )
        return rows[reached >= self.total], dilations[reached >= self.total]

    def _extend(self, heads: Int[np.ndarray, "n i"], limit: float) -> Int[np.ndarray, "m i1"]:
        """Beginnings with one layer more, without those that a bound rules out, most promising first."""
        left = self.num_layers - heads.shape[1]
        found, bounds = [], []
        for block in self._blocks(heads):
            rows, dilations = self._steps(block.sum(axis=1), block[:, -1], left)
            bound = self._edge_bound(block, rows, dilations)
            open_ = bound <= limit
            found.append(np.concatenate([block[rows], dilations[:, None]], axis=1)[open_])
            bounds.append(bound[open_])
        longer, bound = np.concatenate(found), np.concatenate(bounds)
        room = self.most if left > 3 else 2 * self.most  # the last two layers are met, not extended
        kept = np.argsort(bound, kind="stable")[: room if len(bound) <= room else room // 16]
        longer, bound = longer[kept], bound[kept]
        bound = np.maximum(bound, self._collisions(longer) / float(self.kernel_size) ** (left - 1))
        return longer[np.argsort(bound, kind="stable")][: np.count_nonzero(bound <= limit)]

    def _edge_bound(
        self, heads: Int[np.ndarray, "n i"], rows: Int[np.ndarray, " m"], dilations: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        """Least chance of a collision, from the cells at both ends.

        Those before the next dilation keep the paths they have; at best the other paths fall evenly, in whole
        numbers, on the cells between.
        """
        shift = np.outer(heads.sum(axis=1) * (self.kernel_size - 1), np.arange(self.period // 2 + 1))
        phase = np.exp(-1j * np.pi / self.period * (shift % (2 * self.period)))
        shares = np.fft.irfft(self._gains(heads) * phase, self.period, axis=1)[:, : dilations.max(initial=1)]
        edge, squares = shares.cumsum(axis=1), (shares * shares).cumsum(axis=1)
        paths = float(self.kernel_size) ** self.num_layers
        all_of_head = float(self.kernel_size) ** heads.shape[1]
        rest = paths - 2 * all_of_head * edge[rows, dilations - 1]
        between = self.cells - 2 * dilations
        each = np.floor(rest / between)
        more = rest - each * between
        spread = (between - more) * (each / paths) ** 2 + more * ((each + 1) / paths) ** 2
        return 2 * squares[rows, dilations - 1] * (all_of_head / paths) ** 2 + spread

    def _tails_of(
        self, heads: Int[np.ndarray, "n i"], totals: list[int], *, left: int, room: int
    ) -> dict[int, Int[np.ndarray, "m left"]]:
        """All completions of beginnings that sum to each of `totals`, for as many of them as there is room.

        Of the last two layers there are few: the first total is always completed.
        """
        sums, tails = heads.sum(axis=1), {}
        for total in totals:
            found = np.zeros((1, 0), dtype=int)
            reached, last = np.array([total]), heads[sums == total, -1].min(keepdims=True)
            for layers in range(left, 0, -1):
                rows, last = self._steps(reached, last, layers)
                found = np.concatenate([found[rows], last[:, None]], axis=1)
                reached = reached[rows] + last
                if len(found) > room and (tails or left > 2):
                    return tails
            tails[total] = found
            room -= len(found)
        return tails

    def _meet(
        self, heads: Int[np.ndarray, "n i"], tails: dict[int, Int[np.ndarray, "m left"]], best: _Best
    ) -> _Best:
        """The best of all beginnings joined to their tails.

        The chance of a collision is a sum over frequencies of products of gains (Parseval), so that all pairs
        of beginnings and tails are one product of matrices.
        """
        sums = heads.sum(axis=1)
        pairs = np.cumsum([len(tails.get(total, ())) for total in sums.tolist()])
        affordable = pairs * self.period <= PAIRS * WORK
        for total, ends in tails.items():
            mine = heads[(sums == total) & affordable]
            for some_ends in self._blocks(ends):
                powers = self._gains(some_ends) ** 2 * self._weights
                for some in self._blocks(mine):
                    gains = self._gains(some) ** 2
                    open_ = gains @ powers.min(axis=0) <= self._limit(best)
                    best = self._keep(best, some[open_], some_ends, gains[open_] @ powers.T)
        return best

    def _keep(
        self,
        best: _Best,
        heads: Int[np.ndarray, "n i"],
        tails: Int[np.ndarray, "m left"],
        collisions: Float[np.ndarray, "n m"],
    ) -> _Best:
        """The best of those known and all joined pairs that stay sorted."""
        fits = heads[:, -1:] <= tails.min(axis=1, initial=self.total)
        values = collisions[fits]
        nth = np.partition(values, self.count - 1)[self.count - 1] if len(values) >= self.count else np.inf
        rows, columns = np.nonzero(fits & (collisions <= min(nth * SLACK, self._limit(best))))
        found, values = np.concatenate([heads[rows], tails[columns]], axis=1), collisions[rows, columns]
        first = np.lexsort((*found.T, np.round(values * self.cells, 9)))[: self.count]
        both = best | {tuple(found[at].tolist()): float(values[at]) for at in first}
        ranked = sorted(both, key=lambda dilations: (round(both[dilations] * self.cells, 9), dilations[::-1]))
        return {dilations: both[dilations] for dilations in ranked[: self.count]}

    @property
    def _weights(self) -> Float[np.ndarray, " h"]:
        """Of each frequency in a sum over all, of which half are the mirror images of others."""
        weights = np.full(self.period // 2 + 1, 2.0)
        weights[[0, -1]] = 1
        return weights / self.period

    def _collisions(self, dilations: Int[np.ndarray, "n i"]) -> Float[np.ndarray, " n"]:
        """Chance that two random paths of each stack end at one input: the sum of its squared shares."""
        blocks = [self._gains(block) ** 2 @ self._weights for block in self._blocks(dilations)]
        return np.concatenate(blocks) if blocks else np.zeros(0)

    def _gains(self, dilations: Int[np.ndarray, "n i"]) -> Float[np.ndarray, "n h"]:
        """What each stack, centered, passes of every frequency of the circle."""
        angles = np.pi / self.period * np.arange(2 * self.period)
        one = np.cos(np.outer(np.arange(1 - self.kernel_size, self.kernel_size, 2), angles)).mean(axis=0)
        known, where = np.unique(dilations, return_inverse=True)
        frequencies = np.arange(self.period // 2 + 1)
        responses = one[np.outer(known, frequencies) % (2 * self.period)]
        gains = np.ones((len(dilations), len(frequencies)))
        for column in where.reshape(dilations.shape).T:
            gains *= responses[column]
        return gains

    def _blocks(self, rows: Int[np.ndarray, "n i"]) -> Iterator[Int[np.ndarray, "m i"]]:
        """Rows in parts that fit memory."""
        size = max(2**21 // self.period, 1)
        yield from (rows[start : start + size] for start in range(0, len(rows), size))
