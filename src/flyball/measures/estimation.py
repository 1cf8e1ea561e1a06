"""Quality before the labels come: what a calibrated score says about the rows it was given for.

Confidence-based performance estimation (CBPE): when a score is calibrated, the mean of the scores is the accuracy to expect.
It assumes that the *concept* stayed: the same features still mean the same label. Covariates may shift as they like; a change
of the concept it cannot see, and says nothing about it. Whoever shows the estimate shows that with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_quantile
from flyball.measures.intervals import Interval, side_confidence
from flyball.measures.samples import Floats, finite_sample

# Steps thinner than this follow single rows instead of the score; a hundred rows bound a share to about ±0.1.
LEAST_ROWS_A_STEP = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """How often a prediction with a given score was right: a function that does not fall, in steps.

    `scores` (k,) increase and are where each step begins; `shares` (k,) are in 0..1; `rows` (k,) are those each rests on.
    """

    scores: Floats
    shares: Floats
    rows: Floats

    def chances(self, scores: ArrayLike) -> Floats:
        """Return the chance of each prediction to be right, shape (n,); below the first step that of the first.

        Raises:
            InvalidInput: a score that is not finite, or none at all.
        """
        return self.shares[self.steps(scores)]

    def steps(self, scores: ArrayLike) -> NDArray[np.int64]:
        """Return the step in which each score lies, shape (n,)."""
        found = np.searchsorted(self.scores, finite_sample(scores, field="scores"), side="right") - 1
        return np.maximum(found, 0).astype(np.int64)


def calibrate(scores: ArrayLike, correct: ArrayLike, *, least_rows: int = LEAST_ROWS_A_STEP) -> Calibration:
    """Learn how often predictions of each score are right, by isotonic regression (Ayer et al. 1955; Zadrozny & Elkan 2002).

    Rows are first cut into steps of at least `least_rows` by score, so that the function does not follow single rows.

    Args:
        scores: shape (n,), finite: what the model said of each prediction; not used for its training.
        correct: shape (n,), booleans.
        least_rows: rows a step rests on at least; all rows make one step when there are fewer.

    Raises:
        InvalidInput: no rows, different lengths, or scores that are not finite.
    """
    given, right = finite_sample(scores, field="scores"), np.asarray(correct, dtype=bool)
    if right.shape != given.shape:
        raise InvalidInput(f"{given.shape} scores of {right.shape} outcomes are no pair", field="correct")
    kept: list[_Step] = []
    for step in _steps_of(given, right, least_rows):
        kept.append(step)
        while len(kept) > 1 and kept[-2].share >= kept[-1].share:
            last = kept.pop()
            kept[-1] = kept[-1].joined(last)
    return Calibration(
        scores=np.array([step.start for step in kept]),
        shares=np.array([step.share for step in kept]),
        rows=np.array([step.rows for step in kept]),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    start: float
    hits: float
    rows: float

    @property
    def share(self) -> float:
        return self.hits / self.rows

    def joined(self, after: _Step) -> _Step:
        return _Step(self.start, self.hits + after.hits, self.rows + after.rows)


def _steps_of(scores: Floats, right: NDArray[np.bool_], least_rows: int) -> list[_Step]:
    """Cut the rows, in the order of their scores, into steps of enough rows; equal scores are never parted."""
    starts, places = np.unique(scores, return_inverse=True)
    rows, hits = np.bincount(places), np.bincount(places, weights=right)
    steps: list[_Step] = []
    for start, hit, row in zip(starts.tolist(), hits.tolist(), rows.tolist(), strict=True):
        step = _Step(start, hit, row)
        if steps and steps[-1].rows < least_rows:
            steps[-1] = steps[-1].joined(step)
        else:
            steps.append(step)
    if len(steps) > 1 and steps[-1].rows < least_rows:
        last = steps.pop()
        steps[-1] = steps[-1].joined(last)
    return steps


def estimate_accuracy(calibration: Calibration, scores: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Estimate the accuracy of predictions whose labels are not known yet.

    The interval covers two things: that these rows are a draw (the outcomes vary around their chances), and that each step of
    the calibration is known from finitely many rows. Rows are taken as independent: where those of one day resemble each other,
    as on a market, the bounds are too narrow. It does not cover a change of the concept.

    Args:
        calibration: learned on rows that were not used for training, before the time in question.
        scores: shape (n,), finite.
        confidence: of both bounds together.

    Raises:
        InvalidInput: no rows, scores that are not finite, or a confidence outside (0, 1).
    """
    half = normal_quantile(side_confidence(confidence)) * math.sqrt(variance_of_mean(calibration, scores))
    mean = float(calibration.chances(scores).mean())
    return Interval(estimate=mean, lower=max(0.0, mean - half), upper=min(1.0, mean + half))


def variance_of_mean(calibration: Calibration, scores: ArrayLike) -> float:
    """Return the variance of the realised accuracy about the estimate: of the rows' draw, and of the calibration's own rows.

    Rows are taken as independent; `measures/expectation.py` says how far to trust that.
    """
    steps = calibration.steps(scores)
    chances, count = calibration.shares[steps], len(steps)
    weights = np.bincount(steps, minlength=len(calibration.shares)) / count
    of_draw = float(np.sum(chances * (1.0 - chances))) / count**2
    return of_draw + float(np.sum(np.square(weights) * _uncertain(calibration) / calibration.rows))


def _uncertain(calibration: Calibration) -> Floats:
    """Return the variance of one outcome in each step; a step that was always right is known no better than its rows allow."""
    smoothed = (calibration.shares * calibration.rows + 1.0) / (calibration.rows + 2.0)
    spread: Floats = smoothed * (1.0 - smoothed)
    return spread
