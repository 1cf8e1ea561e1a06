"""How well a classifier tells two sets of points apart, and by which columns it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from flyball.measures.distributions import normal_cdf, normal_quantile
from flyball.measures.intervals import Interval, side_confidence
from flyball.measures.multivariate import shares_of
from flyball.measures.samples import Floats, Matrix, point_pair

# Rows of each side at least, so that the classifier is more than noise.
LEAST_ROWS = 20
RIDGE = 1.0
# Directions in which the two differ most in how columns move together; a pair of columns that parts takes two.
DIRECTIONS = 8
# Added to the variance of each direction: columns that repeat each other have directions without any.
_LEAST_VARIANCE = 0.05
_NEWTON_STEPS = 25
_STILL = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """The area under the classifier's ROC curve, 0.5 (nothing to tell) to 1, and what it rests on.

    `p_value` is that of an area of one half at most; `shares` (d,) is what each column has of the difference in score, 0..1.
    """

    area: Interval
    p_value: float
    shares: Floats


class _Look(Protocol):
    """What the classifier sees of rows, fitted on the half that it learns from."""

    def expand(self, rows: Matrix) -> Matrix:
        """Return what it sees, shape (n, k); the last column is one."""
        ...

    def by_column(self, rows: Matrix, weights: Floats) -> Floats:
        """Return the mean part that each column has in the scores of rows, shape (d,)."""
        ...


def domain_classifier(
    reference: ArrayLike, sample: ArrayLike, *, confidence: float = 0.95, seed: int = 0
) -> Separation:
    """Tell the rows of two samples apart by where they lie, how they spread and how their columns move together.

    A ridge logistic regression on the standardised columns, their squares, and the squares along up to eight directions in which
    the covariances differ most (after Fukunaga & Koontz 1970); learned on one half and scored on the other; bounds by DeLong,
    DeLong and Clarke-Pearson (1988). Idea: Ben-David et al. 2007; Lopez-Paz & Oquab 2017. Folds would use every row twice, but
    their areas depend on each other, and bounds from them missed 0.5 more than twice as often as stated.

    Args:
        reference: shape (n, d), finite, n >= 20.
        sample: shape (m, d), finite, m >= 20.
        confidence: of both bounds together.
        seed: draws the halves.

    Raises:
        InvalidInput: other shapes, too few rows, NaN or an infinity, or a confidence outside (0, 1).
    """
    return _told_apart(reference, sample, _Moments.fitted, confidence=confidence, seed=seed)


def linear_classifier(
    reference: ArrayLike, sample: ArrayLike, *, confidence: float = 0.95, seed: int = 0
) -> Separation:
    """Tell the rows of two samples apart by their columns as they are: for many columns of like size, such as counts of words.

    Arguments are those of `domain_classifier`; columns are neither standardised nor squared.
    """
    return _told_apart(reference, sample, _Plain.fitted, confidence=confidence, seed=seed)


class _Fit(Protocol):
    def __call__(self, ours: Matrix, theirs: Matrix, /) -> _Look: ...


def _told_apart(reference: ArrayLike, sample: ArrayLike, fit: _Fit, *, confidence: float, seed: int) -> Separation:
    ours, theirs = point_pair(reference, sample, least=LEAST_ROWS)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(part)) for part in (ours, theirs)]
    seen, unseen = (
        [part[order[side::2]] for part, order in zip((ours, theirs), orders, strict=True)] for side in (0, 1)
    )
    look = fit(*seen)
    weights = _fitted(look.expand(np.concatenate(seen)), np.repeat([0.0, 1.0], [len(seen[0]), len(seen[1])]))
    scores = [look.expand(part) @ weights for part in unseen]
    estimate, variance = _area(scores[0], scores[1])
    error = math.sqrt(variance)
    half = normal_quantile(side_confidence(confidence)) * error
    return Separation(
        area=Interval(estimate=estimate, lower=max(0.0, estimate - half), upper=min(1.0, estimate + half)),
        p_value=_p_value(estimate, error),
        shares=shares_of(look.by_column(unseen[1], weights) - look.by_column(unseen[0], weights)),
    )


def _p_value(area: float, error: float) -> float:
    if error > 0:
        return normal_cdf((0.5 - area) / error)
    return 0.0 if area > 0.5 else 1.0  # noqa: PLR2004 -- no error at all: told apart without exception, or not at all


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Moments:
    """Columns, their squares, and squares along directions (d, k)."""

    centre: Floats
    unit: Floats
    directions: Matrix

    @classmethod
    def fitted(cls, ours: Matrix, theirs: Matrix) -> _Moments:
        learned = np.concatenate([ours, theirs])
        centre, unit = learned.mean(axis=0), learned.std(axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        spreads = [np.atleast_2d(np.cov((part - centre) / unit, rowvar=False)) for part in (ours, theirs)]
        return cls(centre=centre, unit=unit, directions=_directions(spreads[0], spreads[1]))

    def expand(self, rows: Matrix) -> Matrix:
        scaled = (rows - self.centre) / self.unit
        along = np.square(scaled @ self.directions) - 1.0
        return np.column_stack([scaled, np.square(scaled) - 1.0, along, np.ones(len(rows))])

    def by_column(self, rows: Matrix, weights: Floats) -> Floats:
        scaled, d = (rows - self.centre) / self.unit, rows.shape[1]
        plain = weights[:d] * scaled.mean(axis=0) + weights[d : 2 * d] * np.square(scaled).mean(axis=0)
        # (z v)^2 is the sum over columns of z_i v_i (z v).
        along = scaled @ self.directions * weights[2 * d : -1]
        parts: Floats = plain + (scaled.T @ along / len(rows) * self.directions).sum(axis=1)
        return parts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plain:
    """Columns as they are."""

    centre: Floats

    @classmethod
    def fitted(cls, ours: Matrix, theirs: Matrix) -> _Plain:
        return cls(centre=np.concatenate([ours, theirs]).mean(axis=0))

    def expand(self, rows: Matrix) -> Matrix:
        return np.column_stack([rows - self.centre, np.ones(len(rows))])

    def by_column(self, rows: Matrix, weights: Floats) -> Floats:
        parts: Floats = weights[:-1] * (rows - self.centre).mean(axis=0)
        return parts


def _directions(ours: Matrix, theirs: Matrix) -> Matrix:
    """Return the directions (d, k) along which the variances of two covariances have the largest difference to their mean."""
    pooled = (ours + theirs) / 2.0 + _LEAST_VARIANCE * np.eye(len(ours))
    lower = np.linalg.cholesky(pooled)
    inverse = np.linalg.inv(lower)
    sizes, found = np.linalg.eigh(inverse @ (theirs - ours) @ inverse.T)
    most = np.argsort(-np.abs(sizes), kind="stable")[:DIRECTIONS]
    directions: Matrix = inverse.T @ found[:, most]
    return directions


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
