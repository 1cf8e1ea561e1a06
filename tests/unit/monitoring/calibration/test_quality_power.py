"""What a monitor states of losses: kept where it is planted, smaller where rows depend on each other, and never of what it cannot say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from benchmarks.monitoring.streams import DAY_MS, SEGMENT, slice_stream

from flyball.monitoring.backtest.files import backtest_tables
from flyball.monitoring.backtest.histories import Roles, log_table, reference_of
from flyball.monitoring.calibration.block_losses import add_losses, empty_losses
from flyball.monitoring.calibration.conformance import MADE
from flyball.monitoring.calibration.entities import Power
from flyball.monitoring.calibration.history import calibrate_on, whole_windows
from flyball.monitoring.calibration.power import power_of
from flyball.monitoring.calibration.quality_power import with_quality_power
from flyball.monitoring.monitor import Monitor, parse_monitor

ROLES = Roles(time="time_ms", prediction="prediction", label="label")
DAYS, ROWS, BLOCKS = 40, 500, 10


def watching(**changes: object) -> Monitor:
    return parse_monitor(
        {
            "monitor": "watch",
            "endpoint": "live",
            "model": "model",
            "window": "1d",
            "label_maturity": "1d",
            "min_rows": 100,
            "alarms": {"false_alarms": "1 per 10d"},
            "quality": {"resamples": 100},
            **changes,
        }
    )


def history(predictions: np.ndarray, labels: np.ndarray, scores: np.ndarray | None = None) -> pa.Table:
    rows = len(predictions)
    columns = {"time_ms": np.arange(rows, dtype=np.int64) * DAY_MS // ROWS, "prediction": predictions, "label": labels}
    return pa.table(columns if scores is None else {**columns, "score": scores})


def stated(monitor: Monitor, table: pa.Table) -> dict[tuple[str, float], Power]:
    losses = empty_losses(monitor, 0, DAYS * DAY_MS)
    for start in range(0, table.num_rows, 3 * ROWS + 7):  # pieces that end within blocks
        add_losses(losses, table.slice(start, 3 * ROWS + 7), monitor)
    made = with_quality_power(replace(MADE, power=()), monitor, losses)
    assert not made.unstated
    return {(one.change, one.size): one for one in made.power}


def right_answers(generator: np.random.Generator, *, together: float) -> np.ndarray:
    """Return which answers are right, nine of ten; the share of each tenth of a day varies by so much."""
    chance = np.clip(0.9 + together * generator.normal(size=DAYS * BLOCKS), 0, 1).repeat(ROWS // BLOCKS)
    found: np.ndarray = generator.random(len(chance)) < chance
    return found


def test_a_loss_in_a_named_slice_is_found_within_the_time_that_the_monitor_states_and_the_slice_is_named() -> None:
    monitor = watching(slices={"named": {"young": f"segment = '{SEGMENT}'"}, "search": False})
    start = 20 * DAY_MS
    rows = slice_stream(3, days=32, rows_a_day=1_500, share=0.1, lost=0.1, from_ms=start)
    table = log_table(rows, ROLES)
    before = table.filter(pc.field("time_ms") < start)
    profile = reference_of(before, monitor.quality, block_ms=monitor.block_ms).profile
    assert profile is not None
    made = calibrate_on([before], whole_windows(monitor, 0, start), monitor=monitor, version=1, profile=profile)
    wait = next(
        one.wait_windows
        for one in made.power
        if (one.change, one.size) == ("loss of quality in a named slice of 10%", 10.0)
    )
    assert wait is not None
    assert 1 <= wait <= 10
    seen = table.filter(pc.field("time_ms") <= start + wait * DAY_MS)
    fired = backtest_tables(monitor, seen, roles=ROLES, until_ms=start).draft.fired
    drops = [one for one in fired if one.kind == "quality_drop"]
    assert any("young (segment = 'new'): accuracy" in text for one in drops for text in one.causes[:3])


def test_rows_that_depend_on_each_other_are_worth_less_than_as_many_that_do_not() -> None:
    generator = np.random.default_rng(5)
    waits = []
    for together in (0.0, 0.1):
        right = right_answers(generator, together=together)
        found = stated(watching(), history(np.ones(len(right), dtype=int), right.astype(int)))
        waits.append(found["loss of quality", 5.0])
    assert waits[0].probability > waits[1].probability + 0.1


def test_a_larger_loss_is_found_sooner_and_none_seldom() -> None:
    right = right_answers(np.random.default_rng(6), together=0.0)
    found = stated(watching(), history(np.ones(len(right), dtype=int), right.astype(int)))
    small, large = found["loss of quality", 5.0], found["loss of quality", 15.0]
    assert large.wait_windows == 1
    assert small.wait_windows is not None
    assert small.wait_windows >= large.wait_windows
    assert small.without is not None
    assert small.without < 0.1
    assert found["loss of quality in a named slice of 2%", 5.0].wait_windows is None  # ten rows a day are too few
    assert "within 1 with 0.8" in large.text


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_growing_errors_are_found_the_sooner_the_more_they_grow(metric: str) -> None:
    generator = np.random.default_rng(7)
    truth = generator.normal(size=DAYS * ROWS)
    table = history(truth + generator.normal(size=len(truth)), truth)
    found = stated(watching(quality={"metric": metric, "tolerance": 0.0, "resamples": 100}), table)
    powers = [found[f"growth of {metric}", size].probability for size in (10.0, 25.0, 50.0)]
    assert powers == sorted(powers)
    assert powers[0] < 1.0
    assert powers[-1] == 1.0


def test_a_growing_log_loss_is_found() -> None:
    generator = np.random.default_rng(8)
    score = generator.uniform(0.5, 1.0, DAYS * ROWS)
    said = generator.integers(0, 2, DAYS * ROWS)
    right = generator.random(DAYS * ROWS) < score
    quality = {"metric": "log_loss", "tolerance": 0.05, "resamples": 100}
    found = stated(watching(quality=quality), history(said, np.where(right, said, 1 - said), score))
    assert found["growth of log_loss", 50.0].probability > 0.95


def test_of_what_is_no_sum_of_losses_nothing_is_stated_and_it_is_said() -> None:
    monitor = watching(quality={"metric": "roc_auc"})
    made = with_quality_power(replace(MADE, power=()), monitor, empty_losses(monitor, 0, DAYS * DAY_MS))
    assert (made.power, made.unstated) == ((), {"quality": "losses of roc_auc are no sums of rows"})


def test_without_labels_it_is_said_that_there_are_none() -> None:
    made = with_quality_power(replace(MADE, power=()), watching(), empty_losses(watching(), 0, DAYS * DAY_MS))
    assert made.unstated == {"quality": "the history has no window with enough labels"}


@pytest.mark.parametrize(
    ("found", "persist", "wait"),
    [
        ([True, True, True, True], 1, 1),
        ([True, False, False, False], 1, 4),
        ([True, False, False, False, True, False, False, False], 1, 4),
        ([True, True, True, True], 2, 2),
        ([True, False, True, False], 2, None),
    ],
)
def test_the_wait_is_what_four_of_five_beginnings_do_not_exceed(
    found: list[bool],
    persist: int,
    wait: int | None,
) -> None:
    made = power_of(
        np.array(found), change="x", size=1, unit="", feature="", within=3, monitor=watching(persist_windows=persist)
    )
    assert made.wait_windows == wait
