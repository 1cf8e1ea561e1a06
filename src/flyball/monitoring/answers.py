"""Labelled rows of the prediction log as a metric wants them: classes as booleans, numbers as numbers, chances as they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.measures.metrics import Answers, Metric, Task
from flyball.monitoring.many_classes import TWO, read_many
from flyball.monitoring.quality_rules import ACCURACY, QualityRules
from flyball.monitoring.schema import LABEL, PREDICTION, SCORE


def read_answers(labelled: pa.Table, metric: Metric, rules: QualityRules) -> Answers | str:
    """Return the rows, all of which have labels, for a metric; or why they are nothing to it."""
    if metric.name == ACCURACY:
        return Answers(truth=correct_rows(labelled), said=np.ones(labelled.num_rows, dtype=bool))
    if metric.task is Task.REGRESSION:
        return _numbers(labelled, metric)
    if metric.of_every_class:
        return read_many(labelled, rules.classes)
    return _classes(labelled, metric, rules)


def correct_rows(labelled: pa.Table) -> NDArray[np.bool_]:
    """Return whether each prediction is its label, shape (n,)."""
    equal = pc.equal(labelled.column(PREDICTION), labelled.column(LABEL))
    return np.asarray(equal.to_numpy(), dtype=bool)


def numeric(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Return a column of numbers as floats, NaN where there is none; None when it holds no numbers."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _numbers(labelled: pa.Table, metric: Metric) -> Answers | str:
    truth, said = (numeric(labelled.column(name)) for name in (LABEL, PREDICTION))
    if truth is None or said is None:
        return f"{metric.name} is about numbers; the endpoint answers {labelled.column(PREDICTION).type}"
    if not np.all(np.isfinite(said)):
        return f"{metric.name} is not defined: {int(np.sum(~np.isfinite(said)))} predictions are no finite numbers"
    return Answers(truth=truth, said=said)


def _classes(labelled: pa.Table, metric: Metric, rules: QualityRules) -> Answers | str:
    positive = _positive(labelled.column(PREDICTION).type, rules)
    if isinstance(positive, str):
        return positive
    truth, said = (
        np.asarray(pc.equal(labelled.column(name), positive).to_numpy(), dtype=bool) for name in (LABEL, PREDICTION)
    )
    if not metric.needs_chance:
        return Answers(truth=truth, said=said)
    chance = _chance(labelled, said)
    return chance if isinstance(chance, str) else Answers(truth=truth, said=said, chance=chance)


def _positive(kind: pa.DataType, rules: QualityRules) -> pa.Scalar | str:
    """Return the positive label in the predictions' own type."""
    given = rules.positive
    if given is None:
        if pa.types.is_string(kind):
            return "quality.positive must say which label is the positive one"
        given = True
    if isinstance(given, str) != pa.types.is_string(kind):
        return f"quality.positive {given!r} is not of the type of the answers, {kind}"
    return pa.scalar(given if isinstance(given, str) else float(given)).cast(kind)


def _chance(labelled: pa.Table, said: NDArray[np.bool_]) -> NDArray[np.float64] | str:
    """Return the chance of positive: the score of the answer, or what is left of it."""
    if SCORE not in labelled.column_names or labelled.column(SCORE).null_count:
        return "the model gave no probabilities with its answers"
    classes = pc.unique(pa.chunked_array([*labelled.column(PREDICTION).chunks, *labelled.column(LABEL).chunks]))
    if len(classes) > TWO:
        return (
            f"there are {len(classes)} classes; a score says the chance of positive only where there are two: "
            "use the metrics of every class, multi_..."
        )
    score = np.asarray(labelled.column(SCORE).to_numpy(), dtype=np.float64)
    if not np.all((score >= 0) & (score <= 1)):
        return "scores do not lie in 0..1"
    return np.where(said, score, 1.0 - score)
