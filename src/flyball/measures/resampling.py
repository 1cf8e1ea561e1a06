"""Bounds of any figure that follows from sums over blocks of time: the blocks are resampled, the figure is made again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_cdf, require_probability, student_t_quantile
from flyball.measures.intervals import DEFAULT_RESAMPLES, Interval
from flyball.measures.samples import Floats

Places: TypeAlias = NDArray[np.int64]
"""To which block each row belongs, shape (n,), in 0..blocks-1."""
FigureOfSums: TypeAlias = Callable[[Floats], Floats]
"""From sums (..., k) to the figure (...); NaN where it is not defined."""

# A figure that is undefined in more than this share of the resamples (no positive row in them) has no bounds worth the name.
UNDEFINED_SHARE = 0.05
FEWEST_BLOCKS = 2
_CHUNK = 256


def places_in_time(times_ms: ArrayLike, *, block_ms: int, origin_ms: int = 0) -> tuple[Places, int]:
    """Return the block of each row, numbered in the order of time without gaps, and how many blocks there are.

    Raises:
        InvalidInput: a block without length.
    """
    if block_ms < 1:
        raise InvalidInput(f"a block of {block_ms} ms has no length", field="block_ms")
    time = np.asarray(times_ms, dtype=np.int64)
    blocks, places = np.unique((time - origin_ms) // block_ms, return_inverse=True)
    return places.astype(np.int64), len(blocks)


def sum_in_blocks(values: ArrayLike, places: Places, blocks: int) -> Floats:
    """Sum a value of each row, shape (n,), in each block, shape (blocks,)."""
    return np.bincount(places, weights=np.asarray(values, dtype=np.float64), minlength=blocks).astype(np.float64)


def bound_figure(
    sums: Floats,
    figure: FigureOfSums,
    *,
    estimate: float,
    low: float,
    high: float,
    confidence: float,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int,
) -> Interval:
    """Bound a figure by drawing blocks with replacement (Künsch 1989: blocks, not rows, where rows depend on each other).

    Each bound is the wider of the percentile, its level widened for few blocks (Hesterberg 2015, section 5.3), and the
    estimate plus or minus Student's t times the bootstrap's standard error, as in `intervals.block_bootstrap`.

    Args:
        sums: shape (blocks, k), what the figure is made of, block by block.
        figure: makes figures of sums (..., k).
        estimate: the figure of all rows; finite.
        low: the least the figure can be; may be -inf.
        high: the most it can be; may be inf.
        confidence: of each bound alone.
        resamples: bootstrap resamples.
        seed: equal seeds give equal bounds.

    Returns:
        With one block only, or where the figure is undefined in more than 5 % of the resamples: `low` and `high`.

    Raises:
        InvalidInput: an estimate that is not finite, or a confidence outside (0, 1).
    """
    require_probability(confidence, field="confidence")
    if not math.isfinite(estimate):
        raise InvalidInput(f"a figure of {estimate} has no bounds", field="estimate")
    if len(sums) < FEWEST_BLOCKS:
        return Interval(estimate=estimate, lower=low, upper=high)
    drawn = _drawn(sums, figure, resamples=resamples, seed=seed)
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < (1.0 - UNDEFINED_SHARE) * resamples:
        return Interval(estimate=estimate, lower=low, upper=high)
    # The figure of few sums may lie beside that of the rows themselves (ranks in steps); only the spread is taken from it.
    centred = defined + (estimate - float(figure(sums.sum(axis=0))))
    lower, upper = _bounds(centred, estimate, confidence=confidence, blocks=len(sums))
    return Interval(estimate=estimate, lower=max(low, lower), upper=min(high, upper))


def _drawn(sums: Floats, figure: FigureOfSums, *, resamples: int, seed: int) -> Floats:
    generator, count = np.random.default_rng(seed), len(sums)
    parts: list[Floats] = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        picks = generator.integers(0, count, size=(size, count)) + np.arange(size)[:, None] * count
        weights = np.bincount(picks.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)
        parts.append(figure(weights @ sums))
    return np.concatenate(parts)


def _bounds(drawn: Floats, estimate: float, *, confidence: float, blocks: int) -> tuple[float, float]:
    widen = math.sqrt(blocks / (blocks - 1))
    t = student_t_quantile(confidence, blocks - 1)
    level = normal_cdf(-widen * t)
    low, high = (float(bound) for bound in np.quantile(drawn, [level, 1.0 - level]))
    reach = t * widen * float(drawn.std())
    return min(low, estimate - reach, estimate), max(high, estimate + reach, estimate)
