"""Drift of many columns together: what no single column shows, such as two that stop moving together.

Rows are points in d dimensions: standardised features, or embeddings of texts and pictures. Everything random takes a seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_quantile
from flyball.measures.drift import TestResult, kolmogorov_smirnov
from flyball.measures.intervals import Interval, side_confidence
from flyball.measures.samples import Floats

Matrix = NDArray[np.float64]

# Kernel matrices grow with the square of the rows: 8 MB at this many of each side.
KERNEL_ROWS = 500
PERMUTATIONS = 500
# Rows of each side at least, so that the classifier is more than noise.
LEAST_ROWS = 20
RIDGE = 1.0
_NEWTON_STEPS = 25
_STILL = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """How much worse rows are explained by the directions of the reference.

    `effect` is the rise of the mean error in standard deviations of the reference's errors; `test` compares the errors
    (Kolmogorov-Smirnov); `components` is how many directions were kept.
    """

    effect: float
    test: TestResult
    components: int


def reconstruction(
    reference: ArrayLike, sample: ArrayLike, *, kept_share: float = 0.8, seed: int = 0
) -> Reconstruction:
    """Compare how well the principal components of the reference reconstruct both (Jackson & Mudholkar 1979).

    Components are learned on one half of the reference and held against the other: errors of rows that the components were
    learned on would be too small.

    Args:
        reference: shape (n, d), finite, n >= 4.
        sample: shape (m, d), finite.
        kept_share: share of the variance that the kept components explain, in (0, 1).
        seed: draws the halves.

    Raises:
        InvalidInput: other shapes, too few rows, NaN or an infinity, nothing that varies, or a share that is none.
    """
    ours, theirs = _pair(reference, sample, least=4)
    if not 0 < kept_share < 1:
        raise InvalidInput(f"a share of {kept_share} does not lie between 0 and 1", field="kept_share")
    order = np.random.default_rng(seed).permutation(len(ours))
    learned, held = ours[order[: len(ours) // 2]], ours[order[len(ours) // 2 :]]
    centre, unit = learned.mean(axis=0), learned.std(axis=0)
    varying = unit > 0
    if not varying.any():
        raise InvalidInput("the reference does not vary in any column", field="reference")
    spaces = [(part[:, varying] - centre[varying]) / unit[varying] for part in (learned, held, theirs)]
    _left, sizes, directions = np.linalg.svd(spaces[0], full_matrices=False)
    explained = np.cumsum(np.square(sizes)) / np.sum(np.square(sizes))
    components = min(int(np.searchsorted(explained, kept_share)) + 1, len(sizes))
    kept = directions[:components]
    expected, found = (np.linalg.norm(part - part @ kept.T @ kept, axis=1) for part in spaces[1:])
    spread = float(expected.std())
    rise = float(found.mean() - expected.mean())
    effect = rise / spread if spread > 0 else math.copysign(math.inf, rise) if rise else 0.0
    return Reconstruction(effect=effect, test=kolmogorov_smirnov(expected, found), components=components)


def domain_classifier(reference: ArrayLike, sample: ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Return how well a classifier tells the two apart: the area under its ROC curve, 0.5 (not at all) to 1.

    A ridge logistic regression on the standardised columns and their squares, learned on one half and scored on the other;
    bounds by DeLong, DeLong and Clarke-Pearson (1988). Idea: Ben-David et al. 2007; Lopez-Paz & Oquab 2017. Folds would use
    every row twice, but their areas depend on each other, and bounds from them missed 0.5 more than twice as often as stated.

    Args:
        reference: shape (n, d), finite, n >= 20.
        sample: shape (m, d), finite, m >= 20.
        confidence: of both bounds together.
        seed: draws the halves.

    Raises:
        InvalidInput: other shapes, too few rows, NaN or an infinity, or a confidence outside (0, 1).
    """
    ours, theirs = _pair(reference, sample, least=LEAST_ROWS)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(part)) for part in (ours, theirs)]
    seen, unseen = (
        [part[order[side::2]] for part, order in zip((ours, theirs), orders, strict=True)] for side in (0, 1)
    )
    learned = np.concatenate(seen)
    weights = _fitted(_expanded(learned, learned), np.repeat([0.0, 1.0], [len(seen[0]), len(seen[1])]))
    scores = [_expanded(learned, part) @ weights for part in unseen]
    estimate, variance = _area(scores[0], scores[1])
    half = normal_quantile(side_confidence(confidence)) * math.sqrt(variance)
    return Interval(estimate=estimate, lower=max(0.0, estimate - half), upper=min(1.0, estimate + half))


def mean_discrepancy(
    reference: ArrayLike, sample: ArrayLike, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> TestResult:
    """Test whether two sets of points come from one distribution, by the squared maximum mean discrepancy.

    The unbiased estimate (Gretton et al. 2012, equation 3) with a Gaussian kernel as wide as the median distance; it may be
    slightly negative. The p-value is that of a permutation test, at least 1 / (permutations + 1). Of more than 500 rows 500 are
    drawn.

    Args:
        reference: shape (n, d), finite, n >= 2.
        sample: shape (m, d), finite, m >= 2.
        permutations: at least 1.
        seed: draws rows and permutations.

    Raises:
        InvalidInput: other shapes, too few rows, NaN or an infinity, or no permutation.
    """
    ours, theirs = _pair(reference, sample, least=2)
    if permutations < 1:
        raise InvalidInput("a permutation test needs at least one permutation", field="permutations")
    generator = np.random.default_rng(seed)
    ours, theirs = (_drawn(part, generator) for part in (ours, theirs))
    points, count = np.concatenate([ours, theirs]), len(ours)
    squares = np.square(points).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares[None, :] - 2.0 * points @ points.T, 0.0)
    median = float(np.median(apart[np.triu_indices(len(points), 1)]))
    kernel = np.exp(-apart / (2.0 * median if median > 0 else 1.0))
    np.fill_diagonal(kernel, 0.0)
    found = _discrepancy(kernel, np.arange(len(points)) < count)
    shuffled = [_discrepancy(kernel, generator.permutation(len(points)) < count) for _ in range(permutations)]
    as_large = 1 + sum(one >= found for one in shuffled)
    return TestResult(statistic=found, p_value=as_large / (permutations + 1))


def _discrepancy(kernel: Matrix, first: NDArray[np.bool_]) -> float:
    """Return the estimate for the rows named as the first sample and all others."""
    one = first.astype(np.float64)
    two = 1.0 - one
    n, m = float(one.sum()), float(two.sum())
    within = one @ kernel @ one / (n * (n - 1)) + two @ kernel @ two / (m * (m - 1))
    return float(within - 2.0 * (one @ kernel @ two) / (n * m))


def _drawn(points: Matrix, generator: np.random.Generator) -> Matrix:
    if len(points) <= KERNEL_ROWS:
        return points
    return points[generator.choice(len(points), KERNEL_ROWS, replace=False)]


def _expanded(learned: Matrix, rows: Matrix) -> Matrix:
    """Return standardised columns, their squares and a one, as the learned rows scale them."""
    centre, unit = learned.mean(axis=0), learned.std(axis=0)
    scaled = (rows - centre) / np.where(unit > 0, unit, 1.0)
    return np.column_stack([scaled, np.square(scaled) - 1.0, np.ones(len(rows))])


def _fitted(rows: Matrix, side: Floats) -> Floats:
    """Return the weights of a logistic regression, by Newton's method; the ridge keeps every step finite."""
    weights = np.zeros(rows.shape[1])
    ridge = np.full(rows.shape[1], RIDGE)
    ridge[-1] = 0.0
    for _ in range(_NEWTON_STEPS):
        chances = 1.0 / (1.0 + np.exp(-np.clip(rows @ weights, -30.0, 30.0)))
        slope = rows.T @ (side - chances) - ridge * weights
        curve = (rows * (chances * (1.0 - chances) + 1e-9)[:, None]).T @ rows + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        weights = weights + step
        if np.abs(step).max() < _STILL:
            break
    return weights


def _area(negative: Floats, positive: Floats) -> tuple[float, float]:
    """Return the area under the ROC curve, ties half, and its variance (DeLong et al. 1988)."""
    ranked = np.sort(negative), np.sort(positive)
    of_positive = _mean_rank(ranked[0], positive)
    of_negative = 1.0 - _mean_rank(ranked[1], negative)
    variance = np.var(of_positive, ddof=1) / len(positive) + np.var(of_negative, ddof=1) / len(negative)
    return float(of_positive.mean()), float(variance)


def _mean_rank(ranked: Floats, values: Floats) -> Floats:
    below = np.searchsorted(ranked, values, side="left") + np.searchsorted(ranked, values, side="right")
    ranks: Floats = below / (2.0 * len(ranked))
    return ranks


def _pair(reference: ArrayLike, sample: ArrayLike, *, least: int) -> tuple[Matrix, Matrix]:
    ours, theirs = (np.asarray(part, dtype=np.float64) for part in (reference, sample))
    for part, name in ((ours, "reference"), (theirs, "sample")):
        if part.ndim != 2 or part.shape[1] == 0:  # noqa: PLR2004 -- rows and columns
            raise InvalidInput(f"{name} has shape {part.shape}; expected rows by columns", field=name)
        if len(part) < least:
            raise InvalidInput(f"{name} has {len(part)} rows; {least} are needed", field=name)
        if not np.all(np.isfinite(part)):
            raise InvalidInput(f"{name} holds NaN or an infinity; leave such rows out, and count them", field=name)
    if ours.shape[1] != theirs.shape[1]:
        raise InvalidInput(f"{ours.shape[1]} columns against {theirs.shape[1]}", field="sample")
    return ours, theirs
