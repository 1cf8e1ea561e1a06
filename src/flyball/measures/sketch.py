"""A distribution small enough to keep: sorted values, each standing for some rows, merged without looking at rows again.

A sketch is exact until it is compressed. Compressing cuts the sorted rows into groups and keeps the middle value of each,
so a count of rows below a value is off by at most the largest group; the bounds of several compressions add up, as in the
deterministic summaries of Munro and Paterson (1980), "Selection and sorting with limited storage". `rank_error` carries
that bound along, so that whoever reads a number off a sketch can state its error. Nothing is drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.counting import count_on_grid
from flyball.measures.samples import Counts, Floats, finite_sample, in_cache

# Squares of what lies between are far from the ends of float64.
SAFE_SMALLEST, SAFE_LARGEST = 1e-140, 1e140
# Points on the straight lines between quantiles: what is added to their own error is far below it.
LINE_POINTS = 1 << 11


@dataclass(frozen=True, kw_only=True, eq=False)  # without slots: how many rows lie up to a point is counted once
class Sketch:
    """The distribution of `count` finite values, count >= 1.

    `points` (k,) do not decrease; `weights` (k,) are the rows each stands for, None where that is one each.
    `rank_error` is in rows, 0 for an exact sketch. Minimum, maximum, mean and deviation (divided by n) are exact always.
    """

    points: Floats
    weights: Counts | None
    count: int
    rank_error: int
    minimum: float
    maximum: float
    mean: float
    deviation: float

    @property
    def exact(self) -> bool:
        """Whether every value is there."""
        return self.rank_error == 0

    def cumulative(self, values: ArrayLike, *, inclusive: bool = True) -> Counts:
        """Return how many rows lie at or below (else strictly below) each value, shape (m,), off by `rank_error` at most."""
        return self.rows_of(np.searchsorted(self.points, values, side="right" if inclusive else "left"))

    def rows_of(self, places: NDArray[np.intp]) -> Counts:
        """Return how many rows the first points stand for, shape (m,): none of them, one, up to all k."""
        if self.weights is None:
            return places.astype(np.int64, copy=False)
        return self._below[places]

    def at_levels(self, levels: ArrayLike) -> Floats:
        """Return the values at levels 0..1, shape (m,): the smallest value with at least that share of rows at or below."""
        ranks: Counts = np.ceil(np.asarray(levels, dtype=np.float64) * self.count).astype(np.int64).clip(1, self.count)
        if self.weights is None:
            return self.points[ranks - 1]
        return self.points[np.searchsorted(self._below[1:], ranks, side="left")]

    @cached_property
    def _below(self) -> Counts:
        """How many rows the first points stand for, shape (k + 1,), from none of them to all."""
        return np.concatenate([[0], np.cumsum(_weights(self))])

    def collapsed(self) -> Sketch:
        """Return the same distribution with equal points as one; nothing is lost."""
        rises = self.points[1:] != self.points[:-1]
        if rises.all():
            return self
        starts = np.concatenate([[0], np.flatnonzero(rises) + 1])
        ends = np.append(starts[1:], len(self.points))
        weights = ends - starts if self.weights is None else np.add.reduceat(self.weights, starts)
        return replace(self, points=self.points[starts], weights=weights.astype(np.int64))

    def compressed(self, limit: int) -> Sketch:
        """Return a sketch of at most `limit` points; an exact one where there are no more different values.

        Raises:
            InvalidInput: a limit below 2.
        """
        if limit < 2:  # noqa: PLR2004 -- a distribution of one point says nothing
            raise InvalidInput(f"a sketch of {limit} points says nothing; keep at least 2", field="limit")
        if len(self.points) <= limit:
            return self
        one = self.collapsed()
        return one if len(one.points) <= limit else _group(one, limit)


def sketch_of(values: ArrayLike, *, limit: int | None = None) -> Sketch:
    """Sketch finite values of shape (n,), n >= 1; with a `limit`, in at most that many points.

    Many values on a decimal grid are counted, which gives each of them once; others are sorted.

    Raises:
        InvalidInput: another shape, no value, NaN or an infinity.
    """
    sample = finite_sample(values, field="values")
    counted = count_on_grid(sample)
    made = _sorted(sample) if counted is None else _counted(*counted)
    return made if limit is None else made.compressed(limit)


def _sorted(sample: Floats) -> Sketch:
    points = np.sort(sample)
    mean, deviation = _moments(sample, float(points[0]), float(points[-1]))
    return Sketch(
        points=points,
        weights=None,
        count=len(points),
        rank_error=0,
        minimum=float(points[0]),
        maximum=float(points[-1]),
        mean=mean,
        deviation=deviation,
    )


def _counted(points: Floats, weights: Counts) -> Sketch:
    mean, deviation = _weighted_moments(points, weights)
    return Sketch(
        points=points,
        weights=weights,
        count=int(weights.sum()),
        rank_error=0,
        minimum=float(points[0]),
        maximum=float(points[-1]),
        mean=mean,
        deviation=deviation,
    )


def weighted_sketch(values: ArrayLike, counts: ArrayLike) -> Sketch:
    """Sketch finite values of shape (n,), n >= 1, each of which occurs as often as `counts` (n,), each >= 1, says.

    Raises:
        InvalidInput: another shape, no value, NaN or an infinity, or a count below 1.
    """
    sample = finite_sample(values, field="values")
    weights = np.asarray(counts, dtype=np.int64)
    if weights.shape != sample.shape or weights.min() < 1:
        raise InvalidInput("each value needs a count of at least 1", field="counts")
    order = np.argsort(sample, kind="stable")
    return _counted(sample[order], weights[order]).collapsed()


def sketch_of_quantiles(quantiles: ArrayLike, *, count: int, mean: float, deviation: float) -> Sketch:
    """Return a sketch that stands for `count` rows of which only evenly spaced quantiles are known.

    Between two of them the distribution is taken as a straight line, which is wrong by at most one step; `rank_error` says so.

    Args:
        quantiles: shape (q,), at evenly spaced levels from 0 to 1, not decreasing, finite; q >= 2.
        count: rows they were taken from, at least 1.
        mean: mean of the rows.
        deviation: their standard deviation, divided by n.

    Raises:
        InvalidInput: NaN, an infinity, fewer than two quantiles, or quantiles that decrease.
    """
    known = finite_sample(quantiles, field="quantiles")
    if len(known) < 2 or np.any(np.diff(known) < 0):  # noqa: PLR2004 -- a minimum and a maximum at least
        raise InvalidInput("quantiles need a minimum and a maximum and may not decrease", field="quantiles")
    size = min(count, LINE_POINTS)
    edges = np.arange(size + 1) * count // size
    return Sketch(
        points=np.interp((np.arange(size) + 0.5) / size, np.linspace(0.0, 1.0, len(known)), known),
        weights=np.diff(edges).astype(np.int64),
        count=count,
        rank_error=-(-count // (len(known) - 1)),
        minimum=float(known[0]),
        maximum=float(known[-1]),
        mean=mean,
        deviation=deviation,
    )


def merged(sketches: Sequence[Sketch]) -> Sketch:
    """Return the sketch of all rows of several, as if they had been sketched together; errors add up.

    Raises:
        InvalidInput: there is none.
    """
    if not sketches:
        raise InvalidInput("nothing to merge: there is no sketch", field="sketches")
    if len(sketches) == 1:
        return sketches[0]
    points = np.concatenate([one.points for one in sketches])
    order = np.argsort(points, kind="stable")  # merges runs that are sorted already
    plain = all(one.weights is None for one in sketches)
    counts = np.array([one.count for one in sketches], dtype=np.float64)
    means = np.array([one.mean for one in sketches])
    total = int(counts.sum())
    mean = float(np.dot(counts, means) / total)
    spreads = np.array([one.deviation for one in sketches]) ** 2 + (means - mean) ** 2
    return Sketch(
        points=points[order],
        weights=None if plain else np.concatenate([_weights(one) for one in sketches])[order],
        count=total,
        rank_error=sum(one.rank_error for one in sketches),
        minimum=min(one.minimum for one in sketches),
        maximum=max(one.maximum for one in sketches),
        mean=mean,
        deviation=math.sqrt(float(np.dot(counts, spreads)) / total),
    )


def _group(sketch: Sketch, limit: int) -> Sketch:
    if sketch.weights is None:
        starts = -(-np.arange(limit) * sketch.count // limit)
        ends = np.append(starts[1:], sketch.count)
        rows = ends - starts
    else:
        # An entry belongs to the group in which its middle row lies, so the groups differ by little more than an entry.
        middles = np.cumsum(sketch.weights) - (sketch.weights + 1) // 2
        starts = np.flatnonzero(np.diff(middles * limit // sketch.count, prepend=-1))
        rows = np.add.reduceat(sketch.weights, starts)
        ends = np.append(starts[1:], len(sketch.weights))
    return Sketch(
        points=sketch.points[(starts + ends - 1) // 2],
        weights=rows,
        count=sketch.count,
        rank_error=sketch.rank_error + int(rows.max()),
        minimum=sketch.minimum,
        maximum=sketch.maximum,
        mean=sketch.mean,
        deviation=sketch.deviation,
    )


def _moments(sample: Floats, minimum: float, maximum: float) -> tuple[float, float]:
    """Return mean and deviation; values so large or small that their squares leave float64 are taken in units of the largest."""
    if minimum == maximum:
        return minimum, 0.0  # the sum of many equal values is rounded, and would leave a deviation
    largest = max(abs(minimum), abs(maximum))
    unit = 1.0 if SAFE_SMALLEST < largest < SAFE_LARGEST else largest
    scaled = sample if unit == 1.0 else sample / unit
    mean = float(scaled.mean())
    scatter = sum(float(np.square(part - mean).sum()) for part in in_cache(scaled))
    return mean * unit, math.sqrt(scatter / len(scaled)) * unit


def _weighted_moments(points: Floats, weights: Counts) -> tuple[float, float]:
    """Return mean and deviation of sorted points with weights, in units of the largest."""
    if points[0] == points[-1]:
        return float(points[0]), 0.0
    unit = max(abs(float(points[0])), abs(float(points[-1])))
    scaled, total = points / unit, float(weights.sum())
    mean = float(np.sum(scaled * weights)) / total
    return mean * unit, math.sqrt(float(np.sum(np.square(scaled - mean) * weights)) / total) * unit


def _weights(sketch: Sketch) -> Counts:
    return np.ones(len(sketch.points), dtype=np.int64) if sketch.weights is None else sketch.weights
