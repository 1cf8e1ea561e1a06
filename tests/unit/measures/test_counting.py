"""Values on a decimal grid, counted: to the last bit what sorting gives, and nothing where one value is off the grid."""

from __future__ import annotations

import numpy as np
import pytest

from flyball.measures.counting import FEWEST_ROWS, LOOKED_AT, MOST_CELLS, SCALES, count_on_grid

ROWS = 20_000


@pytest.mark.parametrize("digits", range(len(SCALES)))
@pytest.mark.parametrize("middle", [0.0, -3.25, 1_000.5])
def test_a_count_is_what_sorting_gives(digits: int, middle: float) -> None:
    values = np.random.default_rng(digits).normal(middle, 0.2, ROWS).round(digits)
    found = count_on_grid(values)
    points, rows = np.unique(values, return_counts=True)
    assert found is not None
    assert found[0].tolist() == points.tolist()
    assert found[1].tolist() == rows.tolist()


@pytest.mark.parametrize("whole", [0, 2**52, -(2**60)])
def test_whole_numbers_of_any_size_are_counted(whole: int) -> None:
    values = (whole + 512 * np.random.default_rng(0).integers(0, 40, ROWS)).astype(np.float64)
    found = count_on_grid(values)
    assert found is not None
    assert found[0].tolist() == np.unique(values).tolist()
    assert found[1].sum() == ROWS


def test_a_constant_of_any_size_is_counted() -> None:
    for constant in (0.0, 0.1, -1e300):
        found = count_on_grid(np.full(ROWS, constant))
        assert found is not None
        assert (found[0].tolist(), found[1].tolist()) == ([constant], [ROWS])


@pytest.mark.parametrize("place", [0, LOOKED_AT, ROWS - 1])
def test_one_value_off_the_grid_has_all_of_them_sorted(place: int) -> None:
    values = np.tile([0.1, 0.2, 0.3, 0.7], ROWS // 4)
    values[place] = np.nextafter(0.3, 1.0)
    assert count_on_grid(values) is None


def test_what_sorting_does_as_well_is_not_counted() -> None:
    generator = np.random.default_rng(1)
    assert count_on_grid(generator.normal(size=ROWS)) is None
    assert count_on_grid(generator.integers(0, 9, FEWEST_ROWS - 1).astype(np.float64)) is None
    assert count_on_grid(generator.integers(0, 2 * ROWS, ROWS).astype(np.float64) * 3.0) is None
    many = generator.integers(0, 2 * MOST_CELLS, 3 * MOST_CELLS).astype(np.float64)
    assert count_on_grid(many) is None
