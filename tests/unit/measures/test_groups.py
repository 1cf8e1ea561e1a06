"""Rates by group, against the published ones, and verdicts that admit ignorance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv as pcsv
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.groups import Fairness, GroupFigure, GroupRate, group_rates, largest_gap, share_difference
from flyball.measures.intervals import side_confidence, wilson

COMPAS = Path(__file__).parents[4] / "shared" / "data" / "compas.csv"


@pytest.fixture(scope="module")
def compas() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = pcsv.read_csv(COMPAS)
    labels = table.column("two_year_recid").to_numpy() == 1
    predictions = table.column("decile_score").to_numpy() >= 5
    return labels, predictions, table.column("race").to_numpy(zero_copy_only=False)


def test_error_rates_are_those_that_propublica_published(compas: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    # Angwin et al., "Machine Bias" (2016): labelled higher risk, but did not re-offend: 23.5 % white, 44.9 % African-American;
    # labelled lower risk, yet did re-offend: 47.7 % and 28.0 %.
    wrong = group_rates(GroupRate.FALSE_POSITIVE, *compas)
    missed = group_rates(GroupRate.FALSE_NEGATIVE, *compas)
    published = {"Caucasian": (0.235, 0.477), "African-American": (0.449, 0.280)}
    for name, rates in published.items():
        found = (wrong[name].interval.estimate, missed[name].interval.estimate)
        assert found == pytest.approx(rates, abs=0.001)


def test_a_gap_that_is_sure_is_beyond_and_a_small_group_leaves_it_open(
    compas: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    wrong = group_rates(GroupRate.FALSE_POSITIVE, *compas)
    found = largest_gap({name: wrong[name] for name in ("Caucasian", "African-American")}, tolerance=0.1)
    assert (found.higher, found.lower, found.verdict) == ("African-American", "Caucasian", Fairness.BEYOND)
    assert largest_gap({name: wrong[name] for name in ("Other", "Asian")}, tolerance=0.1).verdict is Fairness.UNDECIDED


def test_equal_groups_are_within_only_with_rows_enough() -> None:
    def figure(rows: int) -> GroupFigure:
        return GroupFigure(hits=rows // 5, rows=rows, interval=wilson(rows // 5, rows, confidence=0.975))

    assert largest_gap({"a": figure(20), "b": figure(20)}, tolerance=0.1).verdict is Fairness.UNDECIDED
    assert largest_gap({"a": figure(5_000), "b": figure(5_000)}, tolerance=0.1).verdict is Fairness.WITHIN
    assert largest_gap({"a": figure(5_000), "b": figure(0)}, tolerance=0.1).verdict is Fairness.UNDECIDED


@pytest.mark.parametrize(
    ("one", "two", "lower", "upper"),
    # Newcombe (1998), "Interval estimation for the difference between independent proportions", table II, method 10.
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((5, 56), (0, 29), -0.0381, 0.1926)],
)
def test_the_bounds_of_a_difference_are_the_published_ones(
    one: tuple[int, int], two: tuple[int, int], lower: float, upper: float
) -> None:
    side = side_confidence(0.95)
    figures = [
        GroupFigure(hits=hits, rows=rows, interval=wilson(hits, rows, confidence=side)) for hits, rows in (one, two)
    ]
    found = share_difference(figures[0], figures[1], confidence=side)
    assert (round(found.lower, 4), round(found.upper, 4)) == (lower, upper)


def test_small_groups_that_differ_are_seldom_called_equal() -> None:
    generator = np.random.default_rng(8)
    called = 0
    for _ in range(300):
        groups = np.repeat(["a", "b"], [400, 60])
        said = generator.random(460) < np.where(groups == "a", 0.3, 0.5)
        figures = group_rates(GroupRate.SELECTION, np.ones(460), said, groups)
        called += largest_gap(figures, tolerance=0.1).verdict is Fairness.WITHIN
    assert called <= 0.05 * 300


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (GroupRate.SELECTION, (2, 4)),
        (GroupRate.FALSE_POSITIVE, (1, 2)),
        (GroupRate.TRUE_POSITIVE, (1, 2)),
        (GroupRate.FALSE_NEGATIVE, (1, 2)),
        (GroupRate.PRECISION, (1, 2)),
        (GroupRate.ACCURACY, (2, 4)),
    ],
)
def test_each_rate_counts_what_it_is_about(rate: GroupRate, expected: tuple[int, int]) -> None:
    found = group_rates(rate, [1, 1, 0, 0], [1, 0, 1, 0], ["a"] * 4)["a"]
    assert (found.hits, found.rows) == expected


def test_what_makes_no_sense_is_refused() -> None:
    for labels, groups in (([], []), ([1, 0], ["a"])):
        with pytest.raises(InvalidInput):
            group_rates(GroupRate.SELECTION, labels, labels, groups)
    with pytest.raises(InvalidInput, match="at least two"):
        largest_gap(group_rates(GroupRate.SELECTION, [1], [1], ["a"]), tolerance=0.1)
    with pytest.raises(InvalidInput, match="tolerance"):
        largest_gap(group_rates(GroupRate.SELECTION, [1, 1], [1, 0], ["a", "b"]), tolerance=1.0)
