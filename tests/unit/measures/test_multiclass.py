"""The metrics of many classes, held against scikit-learn; their bounds against what repeated draws do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from flyball.kernel.errors import InvalidInput
from flyball.measures.metrics import Answers
from flyball.measures.multiclass import METRICS

BY_NAME = {metric.name: metric for metric in METRICS}
BLOCKS = 20


def _draw(seed: int, *, rows: int = 2_000, classes: int = 4) -> Answers:
    """Return rows whose chances are too sure of themselves: labels are drawn from softer ones."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 1, (rows, classes))
    soft, sure = (np.exp(scores * factor) for factor in (1.0, 2.0))
    soft, sure = soft / soft.sum(axis=1, keepdims=True), sure / sure.sum(axis=1, keepdims=True)
    column = (soft.cumsum(axis=1) < generator.uniform(size=(rows, 1))).sum(axis=1).clip(max=classes - 1)
    said = sure.argmax(axis=1)
    return Answers(
        truth=said == column,
        said=np.ones(rows, dtype=bool),
        chance=sure.max(axis=1),
        chances=sure,
        column=column.astype(np.int64),
    )


def test_log_loss_brier_and_area_are_those_of_scikit_learn() -> None:
    answers = _draw(1)
    assert answers.chances is not None
    assert answers.column is not None
    truth, chances = answers.column, answers.chances
    assert BY_NAME["multi_log_loss"].of(answers) == pytest.approx(log_loss(truth, chances), rel=1e-12)
    area = roc_auc_score(truth, chances, multi_class="ovr", average="macro")
    assert BY_NAME["multi_roc_auc"].of(answers) == pytest.approx(area, rel=1e-12)
    brier = np.mean(np.sum((np.eye(4)[truth] - chances) ** 2, axis=1))  # Brier's own formula, which older releases lack
    assert BY_NAME["multi_brier"].of(answers) == pytest.approx(brier, rel=1e-12)


def test_the_calibration_error_is_that_of_the_answers_own_chance() -> None:
    answers = _draw(2)
    assert answers.chance is not None
    hits, chances = calibration_curve(answers.truth, answers.chance, n_bins=10)
    rows = np.histogram(answers.chance, bins=np.linspace(0, 1, 11))[0]
    expected = np.average(np.abs(hits - chances), weights=rows[rows > 0])
    assert BY_NAME["multi_calibration_error"].of(answers) == pytest.approx(expected, rel=1e-9)


def test_a_certain_answer_that_is_wrong_has_a_loss_without_being_infinite() -> None:
    answers = Answers(
        truth=np.array([False]),
        said=np.array([True]),
        chance=np.array([1.0]),
        chances=np.array([[1.0, 0.0, 0.0]]),
        column=np.array([2]),
    )
    assert BY_NAME["multi_log_loss"].of(answers) == pytest.approx(log_loss([2], [[1.0, 0.0, 0.0]], labels=[0, 1, 2]))
    assert BY_NAME["multi_brier"].of(answers) == 2.0


def test_an_area_needs_every_class() -> None:
    answers = _draw(3)
    assert answers.column is not None
    assert np.isnan(BY_NAME["multi_roc_auc"].of(answers.where(answers.column != 2)))


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_bounds_hold_the_metric_of_all_rows_as_often_as_they_say(name: str) -> None:
    metric = BY_NAME[name]
    whole = metric.of(_draw(99, rows=100_000))
    places = np.arange(2_000, dtype=np.int64) % BLOCKS
    inside = 0
    for seed in range(40):
        found = metric.bounded(_draw(seed), places, BLOCKS, confidence=0.975, resamples=200, seed=seed)
        inside += found.lower <= whole <= found.upper
        assert metric.low <= found.lower <= found.estimate <= found.upper <= metric.high
    assert inside >= 34  # 38 are 95 %; the seeds are fixed


def test_what_has_no_chances_of_every_class_is_an_error() -> None:
    right = np.array([True, False])
    with pytest.raises(InvalidInput, match="the probabilities of every class"):
        BY_NAME["multi_brier"].of(Answers(truth=right, said=right, chance=np.array([0.9, 0.4])))
