"""Quality of a classifier for one class against the rest: from its confusion, from its ranks, from its probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_quantile
from flyball.measures.intervals import Interval
from flyball.measures.metrics import Answers, Better, Metric, SumsOfBlocks, Task, ratio
from flyball.measures.resampling import FigureOfSums, Places, sum_in_blocks
from flyball.measures.samples import Floats

# Scores are ranked in at most this many steps for the bounds; the figure itself uses every score.
RANK_STEPS = 256
# Ten equal bins, as in Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities", 2015.
CALIBRATION_BINS = 10
# The logarithm of a probability of exactly 0 is no number; scikit-learn stops at the same place.
LEAST_CHANCE = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """How many rows were which: said positive and are, said positive and are not, missed, and rightly left out."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


def confusion(answers: Answers) -> Confusion:
    """Count the four kinds of row."""
    each = _confusions(answers, np.zeros(answers.rows, dtype=np.int64), 1)[0].astype(int).tolist()
    return Confusion(true_positive=each[0], false_positive=each[1], false_negative=each[2], true_negative=each[3])


def delong(truth: ArrayLike, chance: ArrayLike, *, confidence: float) -> Interval:
    """Bound the area under the ROC curve of *independent* rows (DeLong, DeLong and Clarke-Pearson 1988).

    The placements come from mid-ranks (Sun and Xu 2014), so that the cost is that of a sort.

    Args:
        truth: shape (n,), booleans, some of each.
        chance: shape (n,), finite; any score that grows with the chance of positive.
        confidence: of each bound alone.

    Raises:
        InvalidInput: fewer than two rows of either class.
    """
    positive, score = np.asarray(truth, dtype=bool), np.asarray(chance, dtype=np.float64)
    ones, zeros = score[positive], score[~positive]
    if min(len(ones), len(zeros)) < 2:  # noqa: PLR2004 -- a variance needs two
        raise InvalidInput("two rows of each class are needed", field="truth")
    together = _mid_ranks(np.concatenate([ones, zeros]))
    of_ones = (together[: len(ones)] - _mid_ranks(ones)) / len(zeros)
    of_zeros = 1.0 - (together[len(ones) :] - _mid_ranks(zeros)) / len(ones)
    area = float(of_ones.mean())
    spread = float(of_ones.var(ddof=1)) / len(ones) + float(of_zeros.var(ddof=1)) / len(zeros)
    half = normal_quantile(confidence) * math.sqrt(spread)
    return Interval(estimate=area, lower=max(0.0, area - half), upper=min(1.0, area + half))


def _mid_ranks(values: Floats) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2.0)[places]
    return ranks


def _confusions(answers: Answers, places: Places, blocks: int) -> Floats:
    truth, said = answers.truth.astype(bool), answers.said.astype(bool)
    kinds = (truth & said, ~truth & said, truth & ~said, ~truth & ~said)
    return np.stack([sum_in_blocks(kind, places, blocks) for kind in kinds], axis=-1)


def _accuracy(sums: Floats) -> Floats:
    return ratio(sums[..., 0] + sums[..., 3], sums.sum(axis=-1))


def _precision(sums: Floats) -> Floats:
    return ratio(sums[..., 0], sums[..., 0] + sums[..., 1])


def _recall(sums: Floats) -> Floats:
    return ratio(sums[..., 0], sums[..., 0] + sums[..., 2])


def _specificity(sums: Floats) -> Floats:
    return ratio(sums[..., 3], sums[..., 3] + sums[..., 1])


def _balanced(sums: Floats) -> Floats:
    found: Floats = 0.5 * (_recall(sums) + _specificity(sums))
    return found


def _f1(sums: Floats) -> Floats:
    return ratio(2.0 * sums[..., 0], 2.0 * sums[..., 0] + sums[..., 1] + sums[..., 2])


def _matthews(sums: Floats) -> Floats:
    tp, fp, fn, tn = (sums[..., place] for place in range(4))
    return ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _chances(answers: Answers) -> Floats:
    assert answers.chance is not None, "the metric says that it needs chances"
    return answers.chance


def _log_losses(answers: Answers, places: Places, blocks: int) -> Floats:
    chance = np.clip(_chances(answers), LEAST_CHANCE, 1.0 - LEAST_CHANCE)
    return means_in_blocks(-np.log(np.where(answers.truth, chance, 1.0 - chance)), places, blocks)


def _briers(answers: Answers, places: Places, blocks: int) -> Floats:
    return means_in_blocks(np.square(_chances(answers) - answers.truth), places, blocks)


def means_in_blocks(values: Floats, places: Places, blocks: int) -> Floats:
    """Return what the mean of a value of each row is made of: (blocks, 2)."""
    return np.stack([sum_in_blocks(one, places, blocks) for one in (values, np.ones_like(values))], axis=-1)


def mean_of_sums(sums: Floats) -> Floats:
    """Return the mean of such sums."""
    return ratio(sums[..., 0], sums[..., 1])


def sums_in_bins(answers: Answers, places: Places, blocks: int) -> Floats:
    """Return what the calibration error is made of: rows, hits and chances of each of ten bins, (blocks, 3 * 10)."""
    chance = _chances(answers)
    bins = np.minimum((chance * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    cells = places * CALIBRATION_BINS + bins
    each = [sum_in_blocks(one, cells, blocks * CALIBRATION_BINS) for one in (np.ones(len(bins)), answers.truth, chance)]
    return np.stack(each).reshape(3, blocks, CALIBRATION_BINS).transpose(1, 0, 2).reshape(blocks, -1)


def error_of_bins(sums: Floats) -> Floats:
    """Return the mean distance between hits and chances over bins, each weighted by its rows (Naeini et al. 2015)."""
    rows, truth, chance = np.split(sums, 3, axis=-1)
    return ratio(np.abs(truth - chance).sum(axis=-1), rows.sum(axis=-1))


def _in_ranks(answers: Answers, places: Places, blocks: int) -> Floats:
    """Count negative and positive rows by step of the score, lowest first: (blocks, 2 * steps)."""
    chance = _chances(answers)
    steps = np.unique(chance)
    if len(steps) > RANK_STEPS:
        steps = np.unique(np.quantile(chance, np.linspace(0, 1, RANK_STEPS)))
    step = np.maximum(np.searchsorted(steps, chance, side="right") - 1, 0)
    cells = (places * 2 + answers.truth.astype(np.int64)) * len(steps) + step
    return sum_in_blocks(np.ones(len(cells)), cells, blocks * 2 * len(steps)).reshape(blocks, -1)


def area_of_ranks(sums: Floats) -> Floats:
    """Return the area under the ROC curve of counts (..., 2 * steps): of negatives, then of positives, lowest step first."""
    zeros, ones = np.split(sums, 2, axis=-1)
    below = np.cumsum(zeros, axis=-1) - 0.5 * zeros
    return ratio((ones * below).sum(axis=-1), zeros.sum(axis=-1) * ones.sum(axis=-1))


def _average_precision(sums: Floats) -> Floats:
    zeros, ones = np.split(sums, 2, axis=-1)
    found, wrong = (np.cumsum(part[..., ::-1], axis=-1) for part in (ones, zeros))
    precise = np.nan_to_num(ratio(found, found + wrong))
    return ratio((precise * ones[..., ::-1]).sum(axis=-1), ones.sum(axis=-1))


def _exactly(figure: FigureOfSums, answers: Answers) -> float:
    """Return a figure of ranks with every score a step of its own."""
    _, step = np.unique(_chances(answers), return_inverse=True)
    cells = answers.truth.astype(np.int64) * (int(step.max()) + 1) + step
    counts: NDArray[np.int64] = np.bincount(cells, minlength=2 * (int(step.max()) + 1))
    return float(figure(counts.astype(np.float64)))


def exact_area(answers: Answers) -> float:
    """Return the area under the ROC curve; equal scores count a half."""
    return _exactly(area_of_ranks, answers)


def exact_average_precision(answers: Answers) -> float:
    """Return the mean precision over the steps of recall, without interpolation."""
    return _exactly(_average_precision, answers)


def _of_confusion(name: str, figure: FigureOfSums, undefined: str, *, low: float = 0.0) -> Metric:
    return Metric(
        name=name,
        task=Task.CLASSIFICATION,
        better=Better.HIGHER,
        low=low,
        high=1.0,
        sums=_confusions,
        figure=figure,
        undefined=undefined,
    )


def of_chances(
    name: str,
    sums: SumsOfBlocks,
    figure: FigureOfSums,
    *,
    better: Better = Better.LOWER,
    high: float = 1.0,
    exact: Callable[[Answers], float] | None = None,
    undefined: str = "",
    of_every_class: bool = False,
) -> Metric:
    """Return a metric of probabilities, whose least value is 0."""
    return Metric(
        name=name,
        task=Task.CLASSIFICATION,
        better=better,
        low=0.0,
        high=high,
        sums=sums,
        figure=figure,
        exact=exact,
        undefined=undefined,
        needs_chance=True,
        of_every_class=of_every_class,
    )


ONE_CLASS = "all labels are of one class"
METRICS = (
    _of_confusion("accuracy", _accuracy, ""),
    _of_confusion("balanced_accuracy", _balanced, ONE_CLASS),
    _of_confusion("precision", _precision, "nothing was predicted positive"),
    _of_confusion("recall", _recall, "no label is positive"),
    _of_confusion("f1", _f1, "nothing is positive, nor was predicted so"),
    _of_confusion("mcc", _matthews, "all labels, or all predictions, are of one class", low=-1.0),
    of_chances("roc_auc", _in_ranks, area_of_ranks, better=Better.HIGHER, exact=exact_area, undefined=ONE_CLASS),
    of_chances(
        "average_precision",
        _in_ranks,
        _average_precision,
        better=Better.HIGHER,
        exact=exact_average_precision,
        undefined="no label is positive",
    ),
    of_chances("log_loss", _log_losses, mean_of_sums, high=math.inf),
    of_chances("brier", _briers, mean_of_sums),
    of_chances("calibration_error", sums_in_bins, error_of_bins),
)
"""One class against the rest; accuracy needs no class to be positive when `said` is given as equal to `truth` or not."""
