"""How much of a change of a rate is due to where the rows lie."""

from __future__ import annotations

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.decomposition import composition_shift


def test_shares_and_rates_make_up_the_whole_difference_as_kitagawa_says() -> None:
    # Two groups of a million rows each, so that what bins are filled up with does not matter. By hand: the rate was
    # 0.7 * 0.1 + 0.3 * 0.2 = 0.13 and is 0.4 * 0.1 + 0.6 * 0.4 = 0.28. With the old shares it would be 0.7 * 0.1 + 0.3 * 0.4 = 0.19.
    shift = composition_shift([0.7, 0.3], [400_000, 600_000], [40_000, 240_000], base_rate=0.13)
    assert shift.effect == pytest.approx(0.28 - 0.19, abs=1e-5)
    assert shift.sure == shift.effect


def test_rows_that_moved_to_where_nothing_goes_wrong_explain_nothing() -> None:
    shift = composition_shift([0.5, 0.5], [900, 100], [90, 10], base_rate=0.1)
    assert abs(shift.effect) < 0.001
    assert shift.sure == 0.0


def test_rows_that_all_moved_to_a_bin_that_was_empty_are_held_against_the_base_rate() -> None:
    shift = composition_shift([1.0, 0.0], [0, 1_000], [0, 400], base_rate=0.1)
    assert shift.effect == pytest.approx(0.3, abs=0.001)


def test_the_deviation_is_that_of_repeated_windows() -> None:
    generator = np.random.default_rng(7)
    expected, shares, rates = np.array([0.6, 0.4]), np.array([0.3, 0.7]), np.array([0.1, 0.3])
    effects, deviations = [], []
    for _ in range(400):
        counts = (shares * 500).astype(int)
        shift = composition_shift(expected, counts, generator.binomial(counts, rates), base_rate=0.18)
        effects.append(shift.effect)
        deviations.append(shift.deviation)
    # The spread of 400 repetitions is known to within 2/sqrt(2 * 400) = 7 %.
    assert np.mean(deviations) == pytest.approx(np.std(effects), rel=0.15)


@pytest.mark.parametrize(("counts", "events"), [([0, 0], [0, 0]), ([1, 1], [2, 0]), ([1, 1], [-1, 0]), ([1], [0])])
def test_counts_that_cannot_be_are_refused(counts: list[int], events: list[int]) -> None:
    with pytest.raises(InvalidInput):
        composition_shift([0.5, 0.5], counts, events, base_rate=0.1)
