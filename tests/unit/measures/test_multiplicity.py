"""Adjusted p-values against SciPy and a published example."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from flyball.kernel.errors import InvalidInput
from flyball.measures.multiplicity import benjamini_hochberg, holm


def test_benjamini_hochberg_is_that_of_scipy() -> None:
    p_values = np.random.default_rng(1).random(40) ** 3
    expected = scipy.stats.false_discovery_control(p_values, method="bh")
    assert benjamini_hochberg(p_values) == pytest.approx(expected, rel=1e-12)


def test_holm_rejects_what_the_textbook_procedure_rejects() -> None:
    # Steps 0.0125, 0.0167, 0.025, 0.05: the first two fall, the third (0.03 > 0.025) stops the procedure.
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert (adjusted < 0.05).tolist() == [True, False, False, True]


def test_no_tests_need_no_adjustment() -> None:
    assert holm([]).tolist() == []
    assert benjamini_hochberg([]).tolist() == []


def test_adjusted_values_stay_probabilities() -> None:
    assert holm([0.9, 1.0, 0.8]).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("bad", [[0.5, float("nan")], [-0.1], [1.1], [[0.5]]])
def test_impossible_p_values_are_refused(bad: list[float]) -> None:
    with pytest.raises(InvalidInput):
        holm(bad)
    with pytest.raises(InvalidInput):
        benjamini_hochberg(bad)
