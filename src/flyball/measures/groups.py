"""Error rates and selection by group, with intervals: fair or unfair is said only where the rows suffice to say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_quantile
from flyball.measures.intervals import Interval, side_confidence, wilson


class GroupRate(StrEnum):
    """A share of the rows of a group that says how it is treated."""

    SELECTION = "selection_rate"
    """Predicted positive, of all rows: demographic parity compares it."""
    FALSE_POSITIVE = "false_positive_rate"
    """Predicted positive, of the rows that are negative: with the true positive rate it makes equalised odds."""
    TRUE_POSITIVE = "true_positive_rate"
    """Predicted positive, of the rows that are positive: equal opportunity compares it."""
    FALSE_NEGATIVE = "false_negative_rate"
    PRECISION = "precision"
    """Positive, of the rows that were predicted positive: predictive parity compares it."""
    ACCURACY = "accuracy"


class Fairness(StrEnum):
    """What the rows say about the difference between two groups."""

    WITHIN = "within"
    """Surely no larger than tolerated."""
    BEYOND = "beyond"
    """Surely larger than tolerated."""
    UNDECIDED = "undecided"
    """Too few rows to say either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigure:
    """A rate of one group: of `rows` rows it is about, `hits` have it. The bounds are two-sided."""

    hits: int
    rows: int
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupGap:
    """The difference of a rate between two groups, larger minus smaller, and what can be said about it."""

    higher: str
    lower: str
    difference: Interval
    verdict: Fairness


def group_rates(
    rate: GroupRate, labels: ArrayLike, predictions: ArrayLike, groups: ArrayLike, *, confidence: float = 0.95
) -> dict[str, GroupFigure]:
    """Return a rate of each group, groups in the order of their names.

    Args:
        rate: which.
        labels: shape (n,), booleans, the truth.
        predictions: shape (n,), booleans.
        groups: shape (n,), the name of each row's group.
        confidence: of both bounds together (Wilson 1927).

    Raises:
        InvalidInput: no rows, different lengths, or a confidence outside (0, 1).
    """
    truth, said = np.asarray(labels, dtype=bool), np.asarray(predictions, dtype=bool)
    names = np.asarray(groups).astype(str)
    if truth.ndim != 1 or truth.shape != said.shape or truth.shape != names.shape or not len(truth):
        raise InvalidInput(f"labels {truth.shape}, predictions {said.shape} and groups {names.shape}", field="groups")
    hit, about = _hits_and_rows(rate, truth, said)
    each, places = np.unique(names, return_inverse=True)
    hits = np.bincount(places, weights=hit & about, minlength=len(each)).astype(int)
    rows = np.bincount(places, weights=about, minlength=len(each)).astype(int)
    side = side_confidence(confidence)
    return {
        str(name): GroupFigure(hits=int(some), rows=int(all_), interval=wilson(int(some), int(all_), confidence=side))
        for name, some, all_ in zip(each, hits, rows, strict=True)
    }


def largest_gap(figures: Mapping[str, GroupFigure], *, tolerance: float, confidence: float = 0.95) -> GroupGap:
    """Judge the largest difference between two groups.

    Beyond, when the lower bound of some pair's difference lies above the tolerance; within, when the upper bounds of all
    pairs lie below it; undecided otherwise. The confidence holds for all pairs together (Bonferroni); the bounds of a
    difference are Newcombe's (1998, method 10), from the two Wilson intervals.

    Args:
        figures: two groups at least; one without rows leaves the verdict undecided unless others decide it.
        tolerance: how much two groups may differ, 0..1.
        confidence: of the verdict.

    Raises:
        InvalidInput: fewer than two groups, or a tolerance or confidence that is none.
    """
    if len(figures) < 2:  # noqa: PLR2004 -- a difference is between two
        raise InvalidInput(f"{len(figures)} groups have no difference; at least two are needed", field="groups")
    if not 0 <= tolerance < 1:
        raise InvalidInput(f"a tolerance of {tolerance} does not lie in 0..1", field="tolerance")
    pairs = [(one, two) for place, one in enumerate(figures) for two in list(figures)[place + 1 :]]
    side = 1.0 - (1.0 - confidence) / len(pairs)
    gaps = [_gap(one, two, figures, side=side, tolerance=tolerance) for one, two in pairs]
    rank = {Fairness.BEYOND: 0, Fairness.UNDECIDED: 1, Fairness.WITHIN: 2}
    return min(gaps, key=lambda gap: (rank[gap.verdict], -gap.difference.estimate))


def _gap(one: str, two: str, figures: Mapping[str, GroupFigure], *, side: float, tolerance: float) -> GroupGap:
    higher, lower = sorted((one, two), key=lambda name: -figures[name].interval.estimate)
    difference = share_difference(figures[higher], figures[lower], confidence=side)
    verdict = Fairness.UNDECIDED
    if difference.lower > tolerance:
        verdict = Fairness.BEYOND
    elif difference.upper <= tolerance and difference.lower >= -tolerance:
        verdict = Fairness.WITHIN
    return GroupGap(higher=higher, lower=lower, difference=difference, verdict=verdict)


def share_difference(one: GroupFigure, two: GroupFigure, *, confidence: float) -> Interval:
    """Bound the difference of two shares, one minus two (Newcombe 1998, method 10); each bound holds with `confidence`.

    Without rows in one of them nothing is known: -1 to 1.
    """
    ours, theirs = (wilson(figure.hits, figure.rows, confidence=confidence) for figure in (one, two))
    if not one.rows or not two.rows:
        return Interval(estimate=0.0, lower=-1.0, upper=1.0)
    difference = ours.estimate - theirs.estimate
    down = np.hypot(ours.estimate - ours.lower, theirs.upper - theirs.estimate)
    up = np.hypot(ours.upper - ours.estimate, theirs.estimate - theirs.lower)
    return Interval(estimate=difference, lower=float(difference - down), upper=float(difference + up))


def _hits_and_rows(
    rate: GroupRate, truth: NDArray[np.bool_], said: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows have it, and which it is about."""
    every = np.ones_like(truth)
    return {
        GroupRate.SELECTION: (said, every),
        GroupRate.FALSE_POSITIVE: (said, ~truth),
        GroupRate.TRUE_POSITIVE: (said, truth),
        GroupRate.FALSE_NEGATIVE: (~said, truth),
        GroupRate.PRECISION: (truth, said),
        GroupRate.ACCURACY: (truth == said, every),
    }[rate]


def share_ratio(one: GroupFigure, two: GroupFigure, *, confidence: float) -> Interval | None:
    """Bound the ratio of two shares, one over two (Katz et al. 1978, on the logarithm); each bound holds with `confidence`.

    None where a share is zero or has no rows: a logarithm knows no zero.
    """
    if not one.hits or not two.hits:
        return None
    estimate = (one.hits / one.rows) / (two.hits / two.rows)
    spread = 1 / one.hits - 1 / one.rows + 1 / two.hits - 1 / two.rows
    reach = float(np.exp(normal_quantile(confidence) * np.sqrt(spread)))
    return Interval(estimate=estimate, lower=estimate / reach, upper=estimate * reach)
