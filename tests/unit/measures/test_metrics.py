"""Every metric equals scikit-learn's, and its bounds hold as often as they say, also where rows depend on each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from flyball.kernel.errors import InvalidInput
from flyball.measures import classification, regression
from flyball.measures.classification import confusion, delong
from flyball.measures.metrics import Answers, Metric
from flyball.measures.resampling import bound_figure, places_in_time

CLASSES = {one.name: one for one in classification.METRICS}
NUMBERS = {one.name: one for one in regression.METRICS}


def _classes(seed: int, rows: int = 3_000, *, digits: int = 2) -> Answers:
    generator = np.random.default_rng(seed)
    chance = generator.beta(1.2, 2.0, rows).round(digits)
    return Answers(truth=generator.random(rows) < chance**1.4, said=chance > 0.45, chance=chance)


def _numbers(seed: int, rows: int = 3_000) -> Answers:
    generator = np.random.default_rng(seed)
    truth = generator.gamma(2.0, 50.0, rows) + 1.0
    return Answers(truth=truth, said=truth * generator.normal(1.05, 0.2, rows))


def _ece(truth: np.ndarray, chance: np.ndarray) -> float:
    """Follow Naeini et al. (2015): the mean over the bins of |positives - mean chance|, weighted by their rows."""
    bins = np.digitize(chance, np.linspace(0, 1, 11)[1:-1])
    return float(
        sum(abs(truth[bins == b].mean() - chance[bins == b].mean()) * np.mean(bins == b) for b in np.unique(bins))
    )


OF_CLASSES: dict[str, Callable[[Answers], float]] = {
    "accuracy": lambda a: oracle.accuracy_score(a.truth, a.said),
    "balanced_accuracy": lambda a: oracle.balanced_accuracy_score(a.truth, a.said),
    "precision": lambda a: oracle.precision_score(a.truth, a.said),
    "recall": lambda a: oracle.recall_score(a.truth, a.said),
    "f1": lambda a: oracle.f1_score(a.truth, a.said),
    "mcc": lambda a: oracle.matthews_corrcoef(a.truth, a.said),
    "roc_auc": lambda a: oracle.roc_auc_score(a.truth, a.chance),
    "average_precision": lambda a: oracle.average_precision_score(a.truth, a.chance),
    "log_loss": lambda a: oracle.log_loss(a.truth, a.chance),
    "brier": lambda a: oracle.brier_score_loss(a.truth, a.chance),
    "calibration_error": lambda a: _ece(np.asarray(a.truth), np.asarray(a.chance)),
}
OF_NUMBERS: dict[str, Callable[[Answers], float]] = {
    "mae": lambda a: oracle.mean_absolute_error(a.truth, a.said),
    "rmse": lambda a: oracle.root_mean_squared_error(a.truth, a.said),
    "mape": lambda a: oracle.mean_absolute_percentage_error(a.truth, a.said),
    "smape": lambda a: float(
        np.mean([2 * abs(s - t) / (abs(s) + abs(t)) for s, t in zip(a.said, a.truth, strict=True)])
    ),
    "median_ae": lambda a: oracle.median_absolute_error(a.truth, a.said),
    "r2": lambda a: oracle.r2_score(a.truth, a.said),
    "bias": lambda a: float(np.mean(a.said) - np.mean(a.truth)),
}


def test_every_metric_has_an_oracle() -> None:
    assert set(OF_CLASSES) == set(CLASSES)
    assert set(OF_NUMBERS) == set(NUMBERS)


@pytest.mark.parametrize("digits", [2, 12])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_of_classes_it_is_that_of_scikit_learn(name: str, digits: int) -> None:
    answers = _classes(1, digits=digits)
    if name == "calibration_error":  # 0.3 * 10 is 3.0000000000000004: on the edge of two bins there is no right answer
        answers = Answers(truth=answers.truth, said=answers.said, chance=np.asarray(answers.chance) * 0.999 + 1e-4)
    assert CLASSES[name].of(answers) == pytest.approx(OF_CLASSES[name](answers), abs=1e-12)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_of_numbers_it_is_that_of_scikit_learn(name: str) -> None:
    answers = _numbers(2)
    assert NUMBERS[name].of(answers) == pytest.approx(OF_NUMBERS[name](answers), rel=1e-12)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_pinball_loss_is_that_of_scikit_learn(quantile: float) -> None:
    answers = _numbers(3)
    expected = oracle.mean_pinball_loss(answers.truth, answers.said, alpha=quantile)
    assert regression.pinball(quantile).of(answers) == pytest.approx(expected, rel=1e-12)


def test_a_confusion_is_counted() -> None:
    answers = _classes(4)
    found, expected = confusion(answers), oracle.confusion_matrix(answers.truth, answers.said)
    assert [
        [found.true_negative, found.false_positive],
        [found.false_negative, found.true_positive],
    ] == expected.tolist()


def test_the_area_of_delong_is_that_of_mann_and_whitney_and_its_spread_that_of_the_placements() -> None:
    answers = _classes(5, 300)
    chance, truth = np.asarray(answers.chance), np.asarray(answers.truth, dtype=bool)
    ones, zeros = chance[truth], chance[~truth]
    found = delong(truth, chance, confidence=0.975)
    wins = stats.mannwhitneyu(ones, zeros).statistic / (len(ones) * len(zeros))
    assert found.estimate == pytest.approx(wins, abs=1e-12)
    # The definition in the paper, pair by pair.
    kernel = (ones[:, None] > zeros[None, :]) + 0.5 * (ones[:, None] == zeros[None, :])
    spread = kernel.mean(axis=1).var(ddof=1) / len(ones) + kernel.mean(axis=0).var(ddof=1) / len(zeros)
    half = stats.norm.ppf(0.975) * math.sqrt(spread)
    assert (found.lower, found.upper) == pytest.approx((wins - half, wins + half), abs=1e-12)


@pytest.mark.parametrize("metric", [*CLASSES.values(), *NUMBERS.values()], ids=lambda one: one.name)
def test_bounds_hold_as_often_as_they_say_where_rows_of_a_day_resemble_each_other(metric: Metric) -> None:
    # Days differ in how hard they are; the truth is the metric over very many days. 40 fixed streams of 40 days of 25 rows.
    truth = metric.of(_TRUTHS[int(metric in NUMBERS.values())])
    held = sum(_holds(metric, seed, truth) for seed in range(40))
    # Both bounds at 0.95 are asked for, so 0.9 of 40 = 36; four standard deviations are 7.6.
    assert held >= 28


def _stream(seed: int, days: int) -> tuple[Answers, Answers, np.ndarray]:
    generator = np.random.default_rng(seed)
    places = np.repeat(np.arange(days), 25)
    hard = generator.normal(0, 0.6, days)[places]
    logit = generator.normal(0, 1.5, len(places))
    chance = 1 / (1 + np.exp(-logit))
    truth = generator.random(len(places)) < 1 / (1 + np.exp(-(logit * 0.8 + hard)))
    number = generator.gamma(3.0, 10.0, len(places)) + 1.0
    said = number * generator.normal(1.0, 0.1, len(places)) * np.exp(0.2 * hard)
    return Answers(truth=truth, said=chance > 0.5, chance=chance), Answers(truth=number, said=said), places


_TRUTHS = _stream(10_000, 8_000)[:2]


def _holds(metric: Metric, seed: int, truth: float) -> bool:
    classes, numbers, places = _stream(seed, 40)
    wide = metric in NUMBERS.values()
    found = metric.bounded(numbers if wide else classes, places, 40, confidence=0.95, resamples=100, seed=seed)
    return found.lower <= truth <= found.upper


@pytest.mark.parametrize(
    ("name", "truth", "said"),
    [
        ("precision", [True, False], [False, False]),
        ("recall", [False, False], [True, False]),
        ("balanced_accuracy", [True, True], [True, False]),
        ("mcc", [True, True], [True, False]),
        ("f1", [False, False], [False, False]),
        ("roc_auc", [True, True], [True, True]),
        ("average_precision", [False, False], [True, True]),
    ],
)
def test_what_is_not_defined_is_no_number_within_the_widest_bounds(
    name: str, truth: list[bool], said: list[bool]
) -> None:
    answers = Answers(truth=np.array(truth), said=np.array(said), chance=np.array([0.2, 0.6]))
    metric = CLASSES[name]
    found = metric.bounded(answers, np.array([0, 1]), 2, confidence=0.95, seed=1)
    assert math.isnan(found.estimate)
    assert (found.lower, found.upper) == (metric.low, 1.0)
    assert metric.undefined


def test_labels_that_are_equal_or_zero_leave_shares_of_them_undefined() -> None:
    level = Answers(truth=np.full(3, 0.1), said=np.array([1.0, 2.0, 3.0]))
    assert math.isnan(NUMBERS["r2"].of(level))
    zero = Answers(truth=np.array([0.0, 1.0]), said=np.array([0.0, 2.0]))
    assert math.isnan(NUMBERS["mape"].of(zero))
    assert NUMBERS["smape"].of(zero) == pytest.approx(1 / 3)


def test_a_figure_that_most_resamples_lack_has_no_bounds() -> None:
    # One positive label in ten days: a third of the resamples have none.
    truth = np.zeros(100, dtype=bool)
    truth[3] = True
    answers = Answers(truth=truth, said=truth, chance=None)
    found = CLASSES["recall"].bounded(answers, np.repeat(np.arange(10), 10), 10, confidence=0.95, seed=1)
    assert (found.estimate, found.lower, found.upper) == (1.0, 0.0, 1.0)


def test_equal_seeds_give_equal_bounds() -> None:
    classes, _, places = _stream(3, 40)
    each = [CLASSES["f1"].bounded(classes, places, 40, confidence=0.95, seed=seed) for seed in (5, 5, 6)]
    assert each[0] == each[1] != each[2]


def test_rows_are_placed_in_blocks_of_time() -> None:
    places, blocks = places_in_time([5, 25, 7, 61], block_ms=10, origin_ms=5)
    assert (places.tolist(), blocks) == ([0, 1, 0, 2], 3)


def test_what_makes_no_sense_is_refused() -> None:
    empty = Answers(truth=np.array([], dtype=bool), said=np.array([], dtype=bool))
    with pytest.raises(InvalidInput, match="of nothing"):
        CLASSES["accuracy"].of(empty)
    bare = Answers(truth=np.array([True, False]), said=np.array([True, False]))
    with pytest.raises(InvalidInput, match="probability"):
        CLASSES["brier"].of(bare)
    with pytest.raises(InvalidInput):
        places_in_time([1], block_ms=0)
    with pytest.raises(InvalidInput):
        delong([True, False, False], [0.1, 0.2, 0.3], confidence=0.9)
    with pytest.raises(InvalidInput):
        bound_figure(np.ones((3, 1)), lambda s: s[..., 0], estimate=math.nan, low=0, high=1, confidence=0.9, seed=1)
