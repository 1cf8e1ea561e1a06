"""Intervals around shares and differences: Wilson's score interval, and bootstraps over blocks of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import (
    normal_cdf,
    normal_quantile,
    require_probability,
    student_t_quantile,
)

Floats = NDArray[np.float64]

DEFAULT_RESAMPLES = 2_000
# Resamples drawn at a time: bounds the memory at 256 x blocks numbers, whatever the number of resamples.
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate between two bounds. Each bound alone holds with the confidence it was asked for."""

    estimate: float
    lower: float
    upper: float


def side_confidence(two_sided: float) -> float:
    """Return the confidence to ask of each side so that both bounds together hold with `two_sided`.

    >>> side_confidence(0.95)
    0.975
    """
    require_probability(two_sided, field="two_sided")
    return 0.5 + 0.5 * two_sided


def wilson(hits: int, rows: int, *, confidence: float) -> Interval:
    """Bound a share from independent trials (Wilson 1927, without continuity correction).

    Args:
        hits: successes, 0..rows.
        rows: trials; with 0 the bounds are 0 and 1 and the estimate is 0.5.
        confidence: of each bound alone (one-sided); for a two-sided 95 % interval ask for `side_confidence(0.95)`.

    Returns:
        Shares in 0..1.

    Raises:
        InvalidInput: hits outside 0..rows, or a confidence outside (0, 1).
    """
    if not 0 <= hits <= rows:
        raise InvalidInput(f"{hits} hits of {rows} rows is impossible", field="hits")
    z = normal_quantile(confidence)
    if rows == 0:
        return Interval(estimate=0.5, lower=0.0, upper=1.0)
    share, shrink = hits / rows, 1.0 + z * z / rows
    centre = (share + z * z / (2 * rows)) / shrink
    half = z / shrink * math.sqrt(share * (1.0 - share) / rows + z * z / (4.0 * rows * rows))
    lower = 0.0 if hits == 0 else max(0.0, centre - half)
    upper = 1.0 if hits == rows else min(1.0, centre + half)
    return Interval(estimate=share, lower=lower, upper=upper)


def block_bootstrap(
    hits: ArrayLike,
    rows: ArrayLike,
    *,
    confidence: float,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int,
    block_length: int = 1,
) -> Interval:
    """Bound a share (sum of hits over sum of rows) whose rows depend on each other inside a block of time.

    Args:
        hits: shape (blocks,), in time order, 0..rows each.
        rows: shape (blocks,); a block without rows is left out.
        confidence: of each bound alone.
        resamples: bootstrap resamples.
        seed: equal seeds give equal bounds.
        block_length: entries that are drawn together, wrapping round the end (circular block bootstrap, Politis &
            Romano 1992); 1 when neighbouring entries are independent.

    Returns:
        Shares in 0..1. See `paired_block_bootstrap` for how the bounds are made. One block alone says nothing about
        how blocks vary: its bounds are 0 and 1.

    Raises:
        InvalidInput: NaN, negative or mismatched input, no rows at all, or a confidence outside (0, 1).
    """
    hit, row = _blocks(hits, rows)
    return _bootstrap(
        hit, row, confidence=confidence, resamples=resamples, seed=seed, block_length=block_length, floor=0.0
    )


def paired_block_bootstrap(
    champion_hits: ArrayLike,
    challenger_hits: ArrayLike,
    rows: ArrayLike,
    *,
    confidence: float,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int,
    block_length: int = 1,
) -> Interval:
    """Bound the difference in accuracy, challenger minus champion, of two models judged on the same rows.

    Blocks are drawn with both models' hits together, so what makes a block hard for both cancels out. Each bound is the
    wider of two: the bootstrap percentile, its level widened for few blocks (Hesterberg 2015, "What Teachers Should Know
    About the Bootstrap", section 5.3), and the estimate plus or minus Student's t times the bootstrap standard error.
    The percentile alone can never leave the range of the blocks, and would find two good days proof enough.

    Args:
        champion_hits: shape (blocks,), in time order, 0..rows each.
        challenger_hits: shape (blocks,), the same blocks.
        rows: shape (blocks,); a block without rows is left out.
        confidence: of each bound alone (one-sided).
        resamples: bootstrap resamples.
        seed: equal seeds give equal bounds.
        block_length: entries that are drawn together, wrapping round the end; 1 when blocks are independent.

    Returns:
        Differences in -1..1. One block alone says nothing about how blocks vary: its bounds are -1 and 1.

    Raises:
        InvalidInput: NaN, negative or mismatched input, no rows at all, or a confidence outside (0, 1).
    """
    champion, row = _blocks(champion_hits, rows)
    challenger, _ = _blocks(challenger_hits, rows)
    return _bootstrap(
        challenger - champion,
        row,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        block_length=block_length,
        floor=-1.0,
    )


def _blocks(hits: ArrayLike, rows: ArrayLike) -> tuple[Floats, Floats]:
    hit, row = np.asarray(hits, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    if hit.ndim != 1 or hit.shape != row.shape:
        raise InvalidInput(f"hits of shape {hit.shape} and rows of shape {row.shape} are no pair", field="hits")
    if not (np.all(np.isfinite(row)) and np.all(hit >= 0) and np.all(hit <= row)):
        raise InvalidInput("every block needs 0 <= hits <= rows, and no NaN", field="hits")
    if not np.any(row > 0):
        raise InvalidInput("no block has rows", field="rows")
    return hit[row > 0], row[row > 0]


def _bootstrap(
    sums: Floats, rows: Floats, *, confidence: float, resamples: int, seed: int, block_length: int, floor: float
) -> Interval:
    require_probability(confidence, field="confidence")
    if resamples < 1 or block_length < 1:
        raise InvalidInput("resamples and block_length start at 1", field="resamples")
    estimate = float(sums.sum() / rows.sum())
    effective = len(rows) // block_length
    if effective < 2:  # noqa: PLR2004 -- variation between blocks needs two of them
        return Interval(estimate=estimate, lower=floor, upper=1.0)
    drawn = _resample(sums, rows, resamples=resamples, seed=seed, block_length=block_length)
    low, high = _bounds(drawn, estimate, confidence=confidence, effective=effective)
    return Interval(estimate=estimate, lower=max(floor, low), upper=min(1.0, high))


def _resample(sums: Floats, rows: Floats, *, resamples: int, seed: int, block_length: int) -> Floats:
    generator = np.random.default_rng(seed)
    count = len(rows)
    draws = -(-count // block_length)
    offsets = np.arange(block_length)
    parts: list[Floats] = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        starts = generator.integers(0, count, size=(size, draws, 1))
        picks = ((starts + offsets) % count).reshape(size, -1)[:, :count]
        parts.append(sums[picks].sum(axis=1) / rows[picks].sum(axis=1))
    return np.concatenate(parts)


def _bounds(drawn: Floats, estimate: float, *, confidence: float, effective: int) -> tuple[float, float]:
    widen = math.sqrt(effective / (effective - 1))
    t = student_t_quantile(confidence, effective - 1)
    level = normal_cdf(-widen * t)
    low, high = (float(bound) for bound in np.quantile(drawn, [level, 1.0 - level]))
    reach = t * widen * float(drawn.std())
    return min(low, estimate - reach, estimate), max(high, estimate + reach, estimate)
