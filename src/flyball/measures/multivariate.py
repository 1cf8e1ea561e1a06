"""Drift of many columns together: what no single column shows, such as two that stop moving together.

Rows are points in d dimensions: standardised features, or embeddings of texts and pictures. Everything random takes a seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.drift import TestResult, kolmogorov_smirnov
from flyball.measures.samples import Floats, Matrix, point_pair

# Kernel matrices grow with the square of the rows: 8 MB at this many of each side.
KERNEL_ROWS = 500
PERMUTATIONS = 500
# Permutations treated at a time: bounds the memory at this many times the rows.
_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """How much worse rows are explained by the directions of the reference.

    `effect` is the rise of the mean error in standard deviations of the reference's errors; `test` compares the errors
    (Kolmogorov-Smirnov); `components` is how many directions were kept; `shares` (d,) says how much of the change of the
    squared error each column has, 0..1.
    """

    effect: float
    test: TestResult
    components: int
    shares: Floats


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
    ours, theirs = point_pair(reference, sample, least=4)
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
    left = [part - part @ kept.T @ kept for part in spaces[1:]]
    expected, found = (np.linalg.norm(part, axis=1) for part in left)
    spread = float(expected.std())
    rise = float(found.mean() - expected.mean())
    effect = rise / spread if spread > 0 else math.copysign(math.inf, rise) if rise else 0.0
    shares = np.zeros(ours.shape[1])
    shares[varying] = shares_of(math.copysign(1.0, rise) * (_mean_squares(left[1]) - _mean_squares(left[0])))
    return Reconstruction(effect=effect, test=kolmogorov_smirnov(expected, found), components=components, shares=shares)


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
    ours, theirs = point_pair(reference, sample, least=2)
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
    found = float(_discrepancies(kernel, np.arange(len(points))[None, :] < count)[0])
    as_large = 1
    for start in range(0, permutations, _CHUNK):
        orders = [generator.permutation(len(points)) for _ in range(min(_CHUNK, permutations - start))]
        as_large += int(np.sum(_discrepancies(kernel, np.array(orders) < count) >= found))
    return TestResult(statistic=found, p_value=as_large / (permutations + 1))


def shares_of(parts: Floats) -> Floats:
    """Return what each part has of all that is positive, shape (d,); zeros where nothing is.

    >>> shares_of(np.array([3.0, -1.0, 1.0])).tolist()
    [0.75, 0.0, 0.25]
    """
    positive = np.maximum(parts, 0.0)
    total = float(positive.sum())
    return positive / total if total > 0 else positive


def _mean_squares(errors: Matrix) -> Floats:
    squares: Floats = np.square(errors).mean(axis=0)
    return squares


def _discrepancies(kernel: Matrix, firsts: NDArray[np.bool_]) -> Floats:
    """Return the estimate for each line of `firsts` (k, n + m), which names the rows of the first sample."""
    one = firsts.astype(np.float64)
    rows, total = kernel.sum(axis=1), float(kernel.sum())
    n = one.sum(axis=1)
    m = kernel.shape[0] - n
    within = np.einsum("ij,ij->i", one @ kernel, one)
    touching = one @ rows
    across, others = touching - within, total - 2.0 * touching + within
    found: Floats = within / (n * (n - 1)) + others / (m * (m - 1)) - 2.0 * across / (n * m)
    return found


def _drawn(points: Matrix, generator: np.random.Generator) -> Matrix:
    if len(points) <= KERNEL_ROWS:
        return points
    return points[generator.choice(len(points), KERNEL_ROWS, replace=False)]
