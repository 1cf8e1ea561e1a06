"""Quality of predicted numbers: the size of the error, its direction, and the share of the variance that is explained."""

from __future__ import annotations

import math

import numpy as np

from flyball.measures.metrics import Answers, Better, Metric, SumsOfBlocks, Task, ratio
from flyball.measures.resampling import FigureOfSums, Places, sum_in_blocks
from flyball.measures.samples import Floats

# Absolute errors are counted in at most this many steps for the bounds of their median; the figure uses every error.
MEDIAN_STEPS = 256


def _errors(answers: Answers) -> Floats:
    found: Floats = np.asarray(answers.said, dtype=np.float64) - np.asarray(answers.truth, dtype=np.float64)
    return found


def _stacked(columns: list[Floats], places: Places, blocks: int) -> Floats:
    return np.stack([sum_in_blocks(one, places, blocks) for one in columns], axis=-1)


def _with_rows(values: Floats, places: Places, blocks: int) -> Floats:
    return _stacked([values, np.ones_like(values)], places, blocks)


def _mean(sums: Floats) -> Floats:
    return ratio(sums[..., 0], sums[..., 1])


def _absolute(answers: Answers, places: Places, blocks: int) -> Floats:
    return _with_rows(np.abs(_errors(answers)), places, blocks)


def _squared(answers: Answers, places: Places, blocks: int) -> Floats:
    return _with_rows(np.square(_errors(answers)), places, blocks)


def _root(sums: Floats) -> Floats:
    found: Floats = np.sqrt(_mean(sums))
    return found


def _signed(answers: Answers, places: Places, blocks: int) -> Floats:
    return _with_rows(_errors(answers), places, blocks)


def _relative(answers: Answers, places: Places, blocks: int) -> Floats:
    truth = np.asarray(answers.truth, dtype=np.float64)
    return _with_rows(ratio(np.abs(_errors(answers)), np.abs(truth)), places, blocks)


def _symmetric(answers: Answers, places: Places, blocks: int) -> Floats:
    size = np.abs(np.asarray(answers.truth, dtype=np.float64)) + np.abs(np.asarray(answers.said, dtype=np.float64))
    return _with_rows(np.nan_to_num(ratio(2.0 * np.abs(_errors(answers)), size)), places, blocks)


def _variances(answers: Answers, places: Places, blocks: int) -> Floats:
    truth = np.asarray(answers.truth, dtype=np.float64)
    about = truth - truth.mean()  # else two great sums would be subtracted
    return _stacked([np.square(_errors(answers)), about, np.square(about), np.ones_like(about)], places, blocks)


def _determination(sums: Floats) -> Floats:
    squared, about, about_squared, rows = (sums[..., place] for place in range(4))
    spread = about_squared - np.square(about) / rows
    # What rounding leaves of labels that are all equal is no variance.
    found: Floats = 1.0 - ratio(squared, np.where(spread > 1e-12 * about_squared, spread, 0.0))
    return found


def _steps(answers: Answers, places: Places, blocks: int) -> Floats:
    """Return the counts of absolute errors by step, and the steps' own sizes times the rows: (blocks, 2 * steps)."""
    sizes = np.abs(_errors(answers))
    steps = np.unique(sizes)
    if len(steps) > MEDIAN_STEPS:
        steps = np.unique(np.quantile(sizes, np.linspace(0, 1, MEDIAN_STEPS)))
    cells = places * len(steps) + np.maximum(np.searchsorted(steps, sizes, side="right") - 1, 0)
    counts = sum_in_blocks(np.ones(len(cells)), cells, blocks * len(steps)).reshape(blocks, -1)
    return np.concatenate([counts, counts * steps], axis=-1)


def _median(sums: Floats) -> Floats:
    counts, sized = np.split(sums, 2, axis=-1)
    middle = np.argmax(np.cumsum(counts, axis=-1) >= 0.5 * counts.sum(axis=-1, keepdims=True), axis=-1)[..., None]
    picked = [np.take_along_axis(part, middle, axis=-1)[..., 0] for part in (sized, counts)]
    return ratio(picked[0], picked[1])


def exact_median(answers: Answers) -> float:
    """Return the median absolute error."""
    return float(np.median(np.abs(_errors(answers))))


def pinball(quantile: float) -> Metric:
    """Return the pinball loss of predictions of a quantile (Koenker and Bassett 1978)."""

    def sums(answers: Answers, places: Places, blocks: int) -> Floats:
        under = -_errors(answers)
        return _with_rows(np.maximum(quantile * under, (quantile - 1.0) * under), places, blocks)

    return _loss("pinball", sums, _mean)


def _loss(
    name: str, sums: SumsOfBlocks, figure: FigureOfSums, *, high: float = math.inf, undefined: str = ""
) -> Metric:
    return Metric(
        name=name,
        task=Task.REGRESSION,
        better=Better.LOWER,
        low=0.0,
        high=high,
        sums=sums,
        figure=figure,
        undefined=undefined,
    )


METRICS = (
    _loss("mae", _absolute, _mean),
    _loss("rmse", _squared, _root),
    _loss("mape", _relative, _mean, undefined="a label is 0, which has no relative error; use smape"),
    _loss("smape", _symmetric, _mean, high=2.0),
    Metric(
        name="median_ae",
        task=Task.REGRESSION,
        better=Better.LOWER,
        low=0.0,
        high=math.inf,
        sums=_steps,
        figure=_median,
        exact=exact_median,
    ),
    Metric(
        name="r2",
        task=Task.REGRESSION,
        better=Better.HIGHER,
        low=-math.inf,
        high=1.0,
        sums=_variances,
        figure=_determination,
        undefined="all labels are equal",
    ),
    Metric(
        name="bias",
        task=Task.REGRESSION,
        better=Better.ZERO,
        low=-math.inf,
        high=math.inf,
        sums=_signed,
        figure=_mean,
    ),
)
"""All but the pinball loss, which needs a quantile."""
