"""The lines that the loop is compared with follow the loop's own file."""

from __future__ import annotations

import numpy as np

from flyball.demo.electricity import DAY_MS, ROWS_A_DAY, START_MS, STEP_MS, WEEK
from flyball.demo.recipe import is_held_out, rows_in, training_plan


def test_the_plan_is_the_one_of_the_loop_file() -> None:
    plan = training_plan()
    assert (rows_in(plan.span_ms), rows_in(plan.recent_ms), plan.holdout_every) == (9 * WEEK, WEEK, 5)


def test_whole_days_are_held_out() -> None:
    times = START_MS + np.arange(10 * ROWS_A_DAY) * STEP_MS
    held = is_held_out(times, training_plan())
    days = held.reshape(10, ROWS_A_DAY)
    assert (days.all(axis=1) == days.any(axis=1)).all()
    assert days.any(axis=1).sum() == 2
    assert ((times[held] // DAY_MS) % 5 == 0).all()
