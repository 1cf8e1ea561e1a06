"""Accuracy estimated without labels: right while the concept holds, with bounds that hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from flyball.kernel.errors import InvalidInput
from flyball.measures.estimation import calibrate, estimate_accuracy


def _draw(generator: np.random.Generator, rows: int, *, low: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return over-confident scores in 0.5..1, and whether each prediction was right."""
    scores = 0.5 + 0.5 * generator.beta(2, 2 - low, rows)
    return scores, generator.random(rows) < 0.5 + 0.7 * (scores - 0.5)


def test_with_single_rows_it_is_the_isotonic_regression_of_scikit_learn() -> None:
    scores, right = _draw(np.random.default_rng(1), 400)
    scores = scores.round(2)
    found = calibrate(scores, right, least_rows=1)
    oracle = IsotonicRegression(out_of_bounds="clip").fit(scores, right)
    assert found.chances(scores) == pytest.approx(oracle.predict(scores), abs=1e-12)


def test_steps_rest_on_enough_rows_and_do_not_fall() -> None:
    scores, right = _draw(np.random.default_rng(2), 5_000)
    found = calibrate(scores, right, least_rows=250)
    assert found.rows.min() >= 250
    assert found.rows.sum() == 5_000
    assert np.all(np.diff(found.shares) > 0)
    assert np.all(np.diff(found.scores) > 0)
    few = calibrate(scores[:10], right[:10])
    assert few.rows.tolist() == [10.0]


def test_the_estimate_follows_a_shift_of_the_features() -> None:
    generator = np.random.default_rng(3)
    known = calibrate(*_draw(generator, 20_000))
    scores, right = _draw(generator, 20_000, low=1.0)
    found = estimate_accuracy(known, scores)
    assert found.lower <= right.mean() <= found.upper
    assert found.upper - found.lower < 0.03
    assert abs(found.estimate - scores.mean()) > 0.05  # the raw scores promise too much


def test_the_bounds_hold_as_often_as_they_say() -> None:
    generator = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        known = calibrate(*_draw(generator, 1_500))
        scores, right = _draw(generator, 800)
        found = estimate_accuracy(known, scores, confidence=0.9)
        held += found.lower <= right.mean() <= found.upper
    # 0.9 of 400 is 360; four standard deviations are 24. Bounds may be a little too wide, never much too narrow.
    assert held >= 336


def test_a_change_of_the_concept_is_not_seen() -> None:
    generator = np.random.default_rng(5)
    known = calibrate(*_draw(generator, 10_000))
    scores, _right = _draw(generator, 5_000)
    flipped = generator.random(5_000) < 0.5
    assert estimate_accuracy(known, scores).lower > flipped.mean() + 0.05


def test_what_makes_no_sense_is_refused() -> None:
    for scores, right in (([], []), ([0.5], [True, False]), ([np.nan], [True])):
        with pytest.raises(InvalidInput):
            calibrate(scores, right)
    known = calibrate([0.5, 0.9], [True, False])
    with pytest.raises(InvalidInput):
        estimate_accuracy(known, [])
    with pytest.raises(InvalidInput):
        estimate_accuracy(known, [0.5], confidence=1.0)
