"""Calibration on streams in which nothing changes: the stated rate is kept, planted changes are found, short histories say so."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.monitoring.streams import CHANGES, DAY_MS, null_stream, planted
from scipy import stats

from flyball.datasets.profile import Profile
from flyball.monitoring.backtest.files import backtest_tables
from flyball.monitoring.backtest.histories import Roles, log_table, reference_of
from flyball.monitoring.backtest.results import Replayed
from flyball.monitoring.calibration.entities import Calibration, Cycle, Method
from flyball.monitoring.calibration.history import calibrate_on, whole_windows
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.entities import AlertKind
from flyball.monitoring.monitor import Monitor, parse_monitor

ROLES = Roles(time="time_ms", prediction="prediction", label="label")
HISTORY, REPLAYED = 240, 90


def watching(**changes: object) -> Monitor:
    return parse_monitor(
        {
            "monitor": "watch",
            "endpoint": "live",
            "model": "model",
            "window": "1d",
            "label_maturity": "1d",
            "min_rows": 6,
            "alarms": {"false_alarms": "1 per 30d"},
            "quality": {"resamples": 100},
            **changes,
        }
    )


@cache
def stream(seed: int) -> pa.Table:
    return null_stream(seed, days=HISTORY + REPLAYED)


def profile_of(table: pa.Table) -> Profile | None:
    monitor = watching()
    return reference_of(table, monitor.quality, block_ms=monitor.block_ms).profile


@cache
def plain() -> Calibration:
    return calibrated(watching())


def calibrated(monitor: Monitor, seed: int = 1, *, days: int = HISTORY) -> Calibration:
    table = log_table(stream(seed), ROLES)
    span = whole_windows(monitor, 0, days * DAY_MS)
    profile = profile_of(table)
    assert profile is not None
    return calibrate_on([table], span, monitor=monitor, version=1, profile=profile)


def replayed(monitor: Monitor, table: pa.Table) -> Replayed:
    return backtest_tables(monitor, log_table(table, ROLES), roles=ROLES, until_ms=HISTORY * DAY_MS).draft


def test_null_streams_alarm_as_often_as_the_monitor_states() -> None:
    runs = [replayed(watching(), stream(seed)) for seed in range(3)]
    windows = [window for run in runs for window in run.windows]
    alarms = sum(AlertKind.COVARIATE_DRIFT in window.shown for window in windows)
    low, high = stats.binom.interval(0.95, len(windows), 1 / 30)
    assert len(windows) == 3 * (REPLAYED - 1)  # the last day's end is not seen
    assert low <= alarms <= high
    assert not any(AlertKind.DATA_FAULT in window.shown for window in windows)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("mean", AlertKind.COVARIATE_DRIFT),
        ("scale", AlertKind.COVARIATE_DRIFT),
        ("unit", AlertKind.DATA_FAULT),
        ("missingness", AlertKind.DATA_FAULT),
        ("category", AlertKind.DATA_FAULT),
        ("concept", AlertKind.QUALITY_DROP),
    ],
)
def test_a_planted_change_is_found_within_three_windows_with_its_cause_named(change: str, kind: AlertKind) -> None:
    start = (HISTORY + 2) * DAY_MS
    table = planted(stream(2).slice(0, (HISTORY + 7) * 24), change, from_ms=start, seed=2)
    found = [one for one in replayed(watching(), table).fired if one.window_start_ms >= start and one.kind == kind]
    assert found
    assert found[0].window_start_ms < start + 3 * DAY_MS
    assert any(text.startswith(CHANGES[change].cause) for text in found[0].causes)


def test_the_week_is_kept_apart_and_the_year_is_said_not_to_be() -> None:
    made = plain()
    assert made.cycles == (Cycle.WEEK,)
    assert made.unmatched == {"year": "the history has 240 days, 730 are needed"}
    assert (made.method, made.windows, made.needed) == (Method.PIECES, 240, 29)
    assert made.rate == pytest.approx(8 / 241 * 30)
    assert made.rate_lower < made.rate < made.rate_upper


def test_windows_of_hours_are_held_against_their_hour_of_the_day() -> None:
    assert Cycle.DAY in calibrated(watching(window="6h", min_rows=5)).cycles


def test_a_history_that_is_too_short_says_how_much_is_needed() -> None:
    made = calibrated(watching(), days=20)
    assert made.reason == "history too short: 20 windows, 29 are needed"
    assert (made.features, made.power, made.known) == ((), (), False)


def test_long_windows_are_glued_from_days_where_there_are_few_of_them() -> None:
    made = calibrated(watching(window="7d", alarms={"false_alarms": "1 per 365d"}))
    assert (made.known, made.method) == (True, Method.GLUED)
    assert (made.windows, made.block_cells) == (34, 1)


def test_a_window_of_glued_days_is_as_wide_as_a_window_of_real_ones() -> None:
    glued = calibrated(watching(window="7d", alarms={"false_alarms": "1 per 365d"}))
    whole = calibrated(watching(window="7d", alarms={"false_alarms": "1 per 70d"}))
    assert (glued.method, whole.method) == (Method.GLUED, Method.PIECES)
    ratios = [one.centre / other.centre for one, other in zip(glued.features, whole.features, strict=True)]
    # Medians of 34 windows: a quarter is what such a median may be off by.
    assert np.median(ratios) == pytest.approx(1.0, abs=0.25)


def test_a_calibration_is_the_same_again_and_comes_back_from_its_text() -> None:
    made = plain()
    assert calibrated(watching()).digest == made.digest
    assert decode(encode(made), Calibration) == made
    assert replace(made, limit=made.limit + 1).digest != made.digest


def test_what_is_smaller_than_the_least_effect_is_no_alarm() -> None:
    wanted = watching(alarms={"false_alarms": "1 per 30d", "least_effect": 5.0})
    assert {feature.threshold for feature in calibrated(wanted).features} == {5.0}


def test_the_second_half_of_a_steady_history_alarms_as_the_first_half_says() -> None:
    check = plain().backcheck
    assert check is not None
    assert check.windows == 120
    assert check.holds


def test_a_history_that_drifts_is_told_by_its_second_half() -> None:
    table = planted(stream(1), "mean", from_ms=120 * DAY_MS, seed=1)
    log = log_table(table, ROLES)
    profile = profile_of(log)
    assert profile is not None
    made = calibrate_on(
        [log], whole_windows(watching(), 0, 240 * DAY_MS), monitor=watching(), version=1, profile=profile
    )
    assert made.backcheck is not None
    assert not made.backcheck.holds


def test_the_power_says_what_is_found_and_what_is_not() -> None:
    stated = {(one.change, one.size): one for one in plain().power if one.feature == "wind"}
    shifts = [stated["shift", size].probability for size in (0.25, 0.5, 1.0, 2.0)]
    assert shifts == sorted(shifts)
    assert shifts[0] < 0.3
    assert shifts[-1] > 0.95
    assert (stated["change of unit", 1_000.0].wait_windows, stated["change of unit", 1.8].wait_windows) == (1, 1)
    assert stated["missing share", 0.02].probability == 0.0
    assert stated["missing share", 0.3].probability > 0.8
    assert "finds a shift of 2 standard deviations of wind within 3 windows" in stated["shift", 2.0].text


def test_a_loss_in_a_small_slice_is_said_to_be_missed_and_a_large_one_to_be_found() -> None:
    stated = {
        (one.change, one.size): one.probability for one in calibrated(watching(window="14d")).power if not one.feature
    }
    assert stated["loss of quality in a named slice of 2%", 5.0] < 0.5
    assert stated["loss of quality", 10.0] > 0.8


def test_persistence_costs_power_within_the_same_time() -> None:
    once, twice = (
        {(one.feature, one.change, one.size): one.probability for one in made.power}
        for made in (plain(), calibrated(watching(persist_windows=2)))
    )
    assert twice["wind", "shift", 1.0] < once["wind", "shift", 1.0]
