"""Drift needs an effect and significance, and knows what it cannot compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flyball.datasets.profiling import profile_table
from flyball.monitoring.drift import DriftFindings, find_drift
from flyball.monitoring.monitor import Correction, DriftRules, Effect
from flyball.monitoring.reference_columns import table_summary_of
from flyball.monitoring.summarising import summarise_column


def _find(
    reference: Mapping[str, Sequence[object] | np.ndarray],
    window: Mapping[str, Sequence[object] | np.ndarray],
    **rules: Any,
) -> DriftFindings:
    known = table_summary_of(profile_table(pa.table({name: pa.array(values) for name, values in reference.items()})))
    columns = {name: summarise_column(pa.chunked_array([pa.array(values)])) for name, values in window.items()}
    return find_drift(known.columns, columns, DriftRules(**rules))


def _normal(seed: int, size: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, size)


def test_a_large_and_significant_shift_is_drift() -> None:
    (found,) = _find({"x": _normal(1, 5_000)}, {"x": _normal(2, 300, 0.8)}).drift
    assert found.drifted
    assert found.effect == pytest.approx(0.8, abs=0.15)
    assert found.p_value is not None
    assert found.p_value < 1e-6


def test_a_significant_trifle_is_no_drift() -> None:
    (found,) = _find({"x": _normal(1, 50_000)}, {"x": _normal(2, 50_000, 0.2)}).drift
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert not found.drifted


def test_a_large_effect_in_few_rows_is_no_drift() -> None:
    (found,) = _find({"x": _normal(1, 5_000)}, {"x": [-0.2, 0.9, 1.6]}).drift
    assert found.effect > 0.5
    assert not found.drifted


@pytest.mark.parametrize("measure", [Effect.STABILITY, Effect.JENSEN_SHANNON])
def test_other_effects_see_the_same_shift(measure: Effect) -> None:
    (found,) = _find({"x": _normal(1, 5_000)}, {"x": _normal(2, 300, 0.8)}, numeric_measure=measure).drift
    assert (found.measure, found.drifted) == (str(measure), True)


@pytest.mark.parametrize("measure", [Effect.STABILITY, Effect.JENSEN_SHANNON])
def test_categories_drift_by_their_shares(measure: Effect) -> None:
    reference = ["a"] * 500 + ["b"] * 300 + ["c"] * 200
    same, other = ["a"] * 50 + ["b"] * 30 + ["c"] * 20, ["a"] * 20 + ["b"] * 30 + ["c"] * 50
    assert not _find({"x": reference}, {"x": same}, category_measure=measure).drift[0].drifted
    assert _find({"x": reference}, {"x": other}, category_measure=measure).drift[0].drifted


def test_a_new_category_is_drift() -> None:
    (found,) = _find({"x": ["a", "b"] * 300}, {"x": ["a", "b", "new"] * 60}).drift
    assert found.drifted


def test_truth_values_are_categories() -> None:
    (found,) = _find({"x": [True, False] * 300}, {"x": [True] * 180 + [False] * 20}).drift
    assert (found.measure, found.drifted) == ("jensen_shannon", True)


def test_what_never_varied_and_now_does_is_newly_varying() -> None:
    (found,) = _find({"x": [0.4] * 500}, {"x": [0.4] * 50 + [0.5] * 50}).drift
    assert (found.effect, found.drifted, found.newly_varying, found.p_value) == (0.5, True, True, None)


def test_what_never_varied_and_stays_is_not() -> None:
    (found,) = _find({"x": [0.4] * 500}, {"x": [0.4] * 99 + [0.5]}).drift
    assert (found.effect, found.drifted, found.newly_varying) == (0.01, False, False)


def test_a_lone_category_can_become_newly_varying() -> None:
    (found,) = _find({"x": ["a"] * 500}, {"x": ["a", "b"] * 50}).drift
    assert (found.effect, found.newly_varying) == (0.5, True)


def test_more_features_do_not_raise_more_alarms() -> None:
    shift = {"x": _normal(7, 60, 0.55)}
    alone = _find({"x": _normal(1, 5_000)}, shift, significance=0.001).drift[0]
    quiet = {f"q{number}": _normal(100 + number, 5_000) for number in range(40)}
    crowd = _find(
        {"x": _normal(1, 5_000), **quiet}, {**shift, **{name: values[:60] for name, values in quiet.items()}}
    ).drift
    found = next(drift for drift in crowd if drift.feature == "x")
    assert alone.p_value is not None
    assert found.p_value == pytest.approx(min(1.0, 41 * alone.p_value))


def test_the_rate_of_false_alarms_may_be_held_instead() -> None:
    reference = {name: _normal(1, 5_000) for name in "abc"}
    window = {name: _normal(2, 40, 0.5) for name in "abc"}
    by_chance = _find(reference, window, correction=Correction.HOLM).drift[0].p_value
    by_rate = _find(reference, window, correction=Correction.BENJAMINI_HOCHBERG).drift[0].p_value
    assert by_chance is not None
    assert by_rate == pytest.approx(by_chance / 3)


def test_the_strongest_drift_stands_first() -> None:
    reference = {name: _normal(1, 5_000) for name in "abcd"}
    window = {"a": _normal(2, 300), "b": _normal(2, 300, 1), "c": _normal(2, 300, 3), "d": _normal(2, 300, 2)}
    assert [drift.feature for drift in _find(reference, window).drift] == ["c", "d", "b", "a"]


def test_a_features_own_threshold_counts() -> None:
    (found,) = _find({"x": _normal(1, 5_000)}, {"x": _normal(2, 300, 0.8)}, thresholds={"x": 1.5}).drift
    assert (found.threshold, found.drifted) == (1.5, False)


def test_what_is_not_watched_is_named_with_its_reason() -> None:
    names = [f"customer {number} with a name" for number in range(300)]
    reference = {"text": names, "date": [*range(300)], "gone": [*range(300)], "empty": [*range(300)]}
    window: dict[str, Sequence[object]] = {"text": names, "date": [1.0] * 300, "empty": pa.nulls(300, pa.float64())}
    found = _find(reference, window, ignore=("date",))
    assert found.drift == ()
    assert found.unwatched == {
        "text": "free text has no distribution to compare",
        "date": "ignored by the monitor",
        "gone": "the window has no such column",
        "empty": "no value to compare",
    }


def test_a_mixture_of_types_is_compared_by_what_can_be_read() -> None:
    found = _find({"x": _normal(1, 5_000)}, {"x": ["0.1", "broken"] * 50})
    assert found.drift[0].feature == "x"


def test_whole_numbers_as_floats_are_the_same_categories() -> None:
    assert not _find({"x": ["1", "2"] * 300}, {"x": [1.0, 2.0] * 50}).drift[0].drifted
