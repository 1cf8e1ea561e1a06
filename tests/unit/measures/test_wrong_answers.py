"""A CUSUM of right and wrong answers keeps the run length that it states."""

from __future__ import annotations

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.measures.wrong_answers import wrong_answers_chart, wrong_answers_run_length


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_without_room_it_fires_at_the_first_wrong_answer(share: float) -> None:
    # The number of answers until the first wrong one is geometric.
    assert wrong_answers_run_length(share, up=1, down=1, limit=0) == pytest.approx(1 / share)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_random_walk_has_the_run_length_of_the_textbook(limit: int) -> None:
    # A fair walk on 0..limit + 1, held at 0, reaches the end after (limit + 1)(limit + 2) steps (Feller 1968, chapter XIV).
    assert wrong_answers_run_length(0.5, up=1, down=1, limit=limit) == pytest.approx((limit + 1) * (limit + 2))


@pytest.mark.parametrize(
    ("usual", "rise", "run_length"), [(0.1, 0.05, 1_000), (0.1, 0.05, 20), (0.3, 0.05, 10_000), (0.02, 0.02, 2_000)]
)
def test_the_stated_run_length_is_reached_and_hardly_more(usual: float, rise: float, run_length: float) -> None:
    chart = wrong_answers_chart(usual, rise=rise, run_length=run_length)
    reached = wrong_answers_run_length(usual, up=chart.up, down=chart.down, limit=chart.limit)
    below = wrong_answers_run_length(usual, up=chart.up, down=chart.down, limit=chart.limit - 1)
    assert below < run_length <= reached
    assert usual < chart.down / (chart.up + chart.down) < usual + rise


def test_false_alarms_and_findings_come_as_often_as_the_chain_says() -> None:
    chart = wrong_answers_chart(0.1, rise=0.1, run_length=500)
    wrong = np.random.default_rng(1).random(100_000) < 0.1
    quiet = wrong_answers_run_length(0.1, up=chart.up, down=chart.down, limit=chart.limit)
    alarms = sum(chart.update(bool(one)) for one in wrong)
    # Nearly Poisson with a mean near 200: five deviations are 70.
    assert abs(alarms - 100_000 / quiet) < 70
    raised = np.random.default_rng(2).random(20_000) < 0.2
    found = wrong_answers_run_length(0.2, up=chart.up, down=chart.down, limit=chart.limit)
    assert sum(chart.update(bool(one)) for one in raised) == pytest.approx(20_000 / found, rel=0.15)


def test_a_rise_is_dated_where_it_began() -> None:
    generator = np.random.default_rng(3)
    chart = wrong_answers_chart(0.1, rise=0.2, run_length=100_000)
    wrong = [*(generator.random(3_000) < 0.1), *(generator.random(2_000) < 0.4)]
    found = next(place for place, one in enumerate(wrong) if chart.update(bool(one), mark=place))
    assert 3_000 < found < 3_200
    assert abs(chart.since - 3_000) < 60


@pytest.mark.parametrize(
    ("usual", "rise", "run_length"),
    [(0.0, 0.1, 100), (0.9, 0.1, 100), (0.1, 0.0, 100), (0.1, 0.1, 1), (0.001, 1e-5, 1e6)],
)
def test_what_cannot_be_kept_is_refused(usual: float, rise: float, run_length: float) -> None:
    with pytest.raises(InvalidInput):
        wrong_answers_chart(usual, rise=rise, run_length=run_length)
