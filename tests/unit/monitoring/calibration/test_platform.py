"""Monitors of the platform calibrate on what was served, and their reports name the calibration they were judged by."""

from __future__ import annotations

import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import DAY, World

from flyball.kernel.errors import InvalidInput, NotFound
from flyball.monitoring.calibration.verbs import CalibrationRequest
from flyball.monitoring.service import no_fence

ALARMS = {"false_alarms": "1 per 10d"}
WHO = "user:tester"


def served(world: World, *, days: int, **monitor: object) -> World:
    world.describe(1, pa.table({"x": [float(value % 97) / 20 - 2.4 for value in range(5_000)]}))
    world.set_monitor(**monitor)
    for day in range(days):
        world.label(world.serve(day, rows=120))
    return world


def test_a_monitor_calibrates_itself_once_its_version_has_served_long_enough(world: World) -> None:
    served(world, days=14, alarms=ALARMS)
    first = world.monitors.evaluate("watch")
    assert {report.unknown["alarm rate"] for report in first} == {
        "the monitor is not calibrated for this version: run `flyball monitor calibrate`"
    }
    world.label(world.serve(14, rows=120))
    world.label(world.serve(15, rows=120))
    later = world.monitors.evaluate("watch")
    kept = world.monitors.calibrations.find(world.monitors.get("watch"))
    assert (kept.known, kept.version, kept.windows) == (True, 1, 13)
    assert {report.evidence["calibration"] for report in later} == {kept.digest}
    statement = later[-1].alarms
    assert statement is not None
    assert (statement.calibration, statement.reason, statement.false_alarms) == (kept.digest, "", "1 per 10d")
    assert statement.p_value == later[-1].drift[0].p_value
    assert world.kinds().count("monitor.calibrated") == 1


def test_a_shift_is_found_by_the_calibrated_threshold(world: World) -> None:
    served(world, days=16, alarms=ALARMS)
    world.monitors.evaluate("watch")
    world.label(world.serve(16, rows=120, features={"x": [3.0 + row / 120 for row in range(120)]}))
    world.serve(17, rows=10)
    report = world.monitors.evaluate("watch")[-1]
    feature = world.monitors.calibrations.find(world.monitors.get("watch")).features[0]
    assert [(one.feature, one.threshold) for one in report.drifted] == [("x", feature.threshold)]


def test_a_calibration_by_hand_takes_the_time_that_it_is_given(world: World) -> None:
    served(world, days=20, alarms=ALARMS)
    request = CalibrationRequest(since_ms=2 * DAY, until_ms=15 * DAY)
    made = world.monitors.calibrations.run(world.monitors.get("watch"), request, actor=WHO, fence=no_fence)
    assert (made.history_start_ms, made.history_end_ms, made.windows) == (2 * DAY, 15 * DAY, 13)
    again = world.monitors.calibrations.run(world.monitors.get("watch"), request, actor=WHO, fence=no_fence)
    assert again == made
    assert world.kinds().count("monitor.calibrated") == 1


def test_too_short_a_history_is_kept_as_the_reason_why_no_rate_is_stated(world: World) -> None:
    served(world, days=5, alarms=ALARMS)
    world.monitors.calibrations.run(world.monitors.get("watch"), CalibrationRequest(), actor=WHO, fence=no_fence)
    report = world.monitors.evaluate("watch")[-1]
    assert report.unknown["alarm rate"] == "history too short: 4 windows, 9 are needed"
    assert report.drift[0].threshold == 0.5


def test_a_calibration_that_lacked_windows_is_made_again_when_they_are_there(world: World) -> None:
    served(world, days=5, alarms=ALARMS)
    monitor = world.monitors.get("watch")
    world.monitors.calibrations.run(monitor, CalibrationRequest(), actor=WHO, fence=no_fence)
    for day in range(5, 16):
        world.label(world.serve(day, rows=120))
        world.monitors.evaluate("watch")
    assert world.monitors.calibrations.find(monitor).known
    assert world.kinds().count("monitor.calibrated") == 2


def test_the_calibration_of_another_version_says_nothing(world: World) -> None:
    served(world, days=16, alarms=ALARMS)
    world.monitors.evaluate("watch")
    world.monitors.evaluate("watch")
    world.describe(2, pa.table({"x": [float(value % 97) / 20 - 2.4 for value in range(5_000)]}))
    for day in (16, 17):
        world.serve(day, rows=120, version=2)
    report = world.monitors.evaluate("watch")[-1]
    assert report.version == 2
    assert report.unknown["alarm rate"].startswith("the monitor is not calibrated for this version")


def test_what_cannot_be_calibrated_says_why(world: World) -> None:
    world.set_monitor()
    monitor = world.monitors.get("watch")
    with pytest.raises(InvalidInput, match="wants no rate"):
        world.monitors.calibrations.run(monitor, CalibrationRequest(), actor=WHO, fence=no_fence)
    world.set_monitor(alarms=ALARMS)
    monitor = world.monitors.get("watch")
    with pytest.raises(InvalidInput, match="has no predictions in that time"):
        world.monitors.calibrations.run(monitor, CalibrationRequest(), actor=WHO, fence=no_fence)
    world.serve(0)
    world.serve(1)
    with pytest.raises(InvalidInput, match="carries no profile"):
        world.monitors.calibrations.run(monitor, CalibrationRequest(), actor=WHO, fence=no_fence)
    with pytest.raises(NotFound, match="not calibrated for version 1"):
        world.monitors.calibrations.find(monitor)
    with pytest.raises(InvalidInput, match="between 1970"):
        world.monitors.calibrations.run(monitor, CalibrationRequest(since_ms=-1), actor=WHO, fence=no_fence)


def test_a_backtest_over_the_log_keeps_nothing(world: World) -> None:
    served(world, days=20, alarms=ALARMS)
    before = world.kinds()
    document = "monitor: draft\nendpoint: live\nmodel: model\nwindow: 1d\nlabel_maturity: 1d\nalarms: {false_alarms: 1 per 10d}\n"
    found = world.monitors.backtest(document, reference_until_ms=12 * DAY)
    assert (found.draft.from_ms, found.draft.to_ms, len(found.draft.windows)) == (12 * DAY, 19 * DAY, 7)
    assert found.draft.stated.startswith("1 per 10d wanted")
    assert world.kinds() == before
