"""Effects of many pairs at once are those of each pair alone."""

from __future__ import annotations

import numpy as np
import pytest

from flyball.measures.binned import jensen_shannon_rows, stability_rows, wasserstein_rows
from flyball.measures.drift import jensen_shannon, population_stability, wasserstein


def pairs(seed: int, *, bins: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.multinomial(500, np.ones(bins) / bins, 4), generator.multinomial(
        500, np.arange(1, bins + 1) / 21, 4
    )


def test_the_distance_over_cuts_at_every_value_is_that_of_the_values() -> None:
    generator = np.random.default_rng(1)
    ours, theirs = generator.normal(0, 1, 300), generator.normal(0.5, 2, 200)
    cuts = np.sort(np.concatenate([ours, theirs]))
    shares = [
        np.bincount(np.searchsorted(cuts, one), minlength=len(cuts) + 1)[None, :] / len(one) for one in (ours, theirs)
    ]
    # Between two values the functions are straight lines here and steps there: off by half a step of each gap at most.
    assert wasserstein_rows(*shares, cuts=cuts)[0] == pytest.approx(wasserstein(ours, theirs), abs=0.02)


def test_a_shift_out_of_the_cuts_is_measured_in_full() -> None:
    ours = np.array([[0.0, 0.5, 0.5, 0.0]])
    theirs = np.array([[0.0, 0.0, 0.0, 1.0]])
    cuts = np.array([0.0, 1.0, 2.0])
    # All values lie at 12; the reference is spread evenly over 0..2, so its mean is 1.
    assert wasserstein_rows(ours, theirs, cuts=cuts, beyond=10.0)[0] == pytest.approx(11.0)


def test_crossing_functions_do_not_cancel() -> None:
    ours = np.array([[0.0, 1.0, 0.0]])
    theirs = np.array([[0.5, 0.0, 0.5]])
    # The gap goes from +0.5 to -0.5 along a straight line: a mean height of 0.25 over a width of 1.
    assert wasserstein_rows(ours, theirs, cuts=np.array([0.0, 1.0]))[0] == pytest.approx(0.25)


def test_measures_over_counts_are_those_of_each_pair() -> None:
    ours, theirs = pairs(2)
    one, other = ours / 500, theirs / 500
    assert jensen_shannon_rows(one, other) == pytest.approx(
        [jensen_shannon(*pair) for pair in zip(ours, theirs, strict=True)]
    )
    assert stability_rows(one, other, rows=500) == pytest.approx(
        [population_stability(*pair) for pair in zip(ours, theirs, strict=True)]
    )


def test_an_empty_bin_is_no_infinity() -> None:
    ours, theirs = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert jensen_shannon_rows(ours, theirs)[0] == pytest.approx(1.0)
    assert np.isfinite(stability_rows(ours, theirs, rows=10)[0])
