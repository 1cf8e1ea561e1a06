"""A monitor that wants a share of false discoveries: its levels go on from window to window, and what it cannot keep it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import DAY, World

from flyball.kernel.errors import InvalidInput
from flyball.measures.false_discovery import Discoveries, DiscoveryRule, level_at
from flyball.monitoring.calibration.discoveries import DiscoveryFigure
from flyball.monitoring.calibration.verbs import CalibrationRequest
from flyball.monitoring.entities import AlertKind, WindowReport
from flyball.monitoring.monitor import parse_monitor
from flyball.monitoring.service import no_fence
from flyball.server.v1.windows import window_info

# The floor is 0.9 * 0.5 / 5 = 0.09, which takes eleven windows.
ALARMS: Mapping[str, object] = {"false_discoveries": 0.5, "memory": "5d"}
RULE = DiscoveryRule(rate=0.5, decay=0.8)
HISTORY = 12
PLAIN: Mapping[str, object] = {"monitor": "m", "endpoint": "e", "model": "m", "window": "1d", "label_maturity": "1d"}


def ready(world: World, **more: object) -> World:
    world.describe(1, pa.table({"x": np.random.default_rng(99).normal(0, 1, 3_000)}))
    settings: dict[str, object] = {"alarms": ALARMS, "min_rows": 40, "slices": {"search": False}}
    world.set_monitor(**{**settings, **more})
    return world


def serve(world: World, first: int, last: int, *, features: Mapping[str, Sequence[object]] | None = None) -> None:
    for day in range(first, last):
        world.serve(day, rows=60, features=features)


def shifted(value: float = 3.0) -> dict[str, list[float]]:
    return {"x": [value + row / 60 for row in range(60)]}


def calibrate(world: World, monitor: str = "watch", *, until: int = HISTORY) -> str:
    request = CalibrationRequest(until_ms=until * DAY)
    made = world.monitors.calibrations.run(world.monitors.get(monitor), request, actor="user:tester", fence=no_fence)
    return made.reason


def figure(report: WindowReport) -> DiscoveryFigure:
    assert report.discoveries is not None
    return report.discoveries


def look(world: World, monitor: str = "watch") -> list[WindowReport]:
    return world.monitors.evaluate(monitor, actor="service:worker")


def drifted_days(world: World) -> World:
    """Have the history served and calibrated, then three days as they were, two that are not, and two as they were."""
    ready(world)
    serve(world, 0, HISTORY + 3)
    assert calibrate(world) == ""
    serve(world, HISTORY + 3, HISTORY + 5, features=shifted())
    serve(world, HISTORY + 5, HISTORY + 8)
    return world


def test_a_window_is_held_to_the_level_that_the_windows_before_leave(world: World) -> None:
    drifted_days(world)
    reports = look(world)
    found: tuple[int, ...] = ()
    for report in reports:
        step = report.start_ms // DAY + 1
        now = figure(report)
        assert now.level == level_at(RULE, Discoveries(step=step - 1, found=found), step)
        assert now.p_value == report.drift[0].p_value
        assert now.rejected == bool(report.drifted) == (now.p_value is not None and now.p_value <= now.level)
        found = (*found, step) if now.rejected else found
        assert now.memory.known == Discoveries(step=step, found=found)
    assert {HISTORY + 4, HISTORY + 5} <= set(found)
    assert AlertKind.COVARIATE_DRIFT in {alert.kind for alert in world.monitors.alerts()}
    first, after = (figure(reports[day]).level for day in (HISTORY + 3, HISTORY + 4))
    assert after > first
    # The threshold is that of the level, and the window says both.
    assert all((one.effect > one.threshold) == one.drifted for report in reports for one in report.drift)
    of_level = {figure(report).level: report.drift[0].threshold for report in reports}
    ordered = [of_level[level] for level in sorted(of_level)]
    assert ordered == sorted(ordered, reverse=True)
    assert len(set(ordered)) > 1
    shown = [window_info(report).alarm for report in reports]
    assert shown[HISTORY + 3].startswith("false discoveries: 0.5 (memory 5d) wanted, level 0.")
    assert shown[HISTORY + 3].endswith(", p = 0.0769: a discovery")
    assert any(one.endswith(": no discovery") for one in shown)


def test_looking_day_by_day_is_looking_once(world: World) -> None:
    drifted_days(world)
    once = look(world)
    ready(world, monitor="daily")
    calibrate(world, "daily")
    look(world, "daily")
    serve(world, HISTORY + 8, HISTORY + 9, features=shifted())
    serve(world, HISTORY + 9, HISTORY + 10)
    daily = look(world, "daily")
    assert [report.start_ms // DAY for report in daily] == [HISTORY + 6, HISTORY + 7, HISTORY + 8]
    assert [figure(report) for report in world.monitors.reports("daily")][: len(once)] == [figure(one) for one in once]


def test_late_rows_rebuild_the_levels_of_the_windows_after_theirs(world: World) -> None:
    drifted_days(world)
    before = look(world)
    late = HISTORY + 2
    world.serve(late, rows=60, role="canary", version=2, features=shifted(9.0))
    again = look(world)
    assert figure(again[0]).rejected
    assert not figure(before[late]).rejected
    assert [report.start_ms // DAY for report in again] == list(range(late, HISTORY + 7))
    ready(world, monitor="fresh")
    calibrate(world, "fresh")
    fresh = look(world, "fresh")
    assert [figure(one) for one in fresh[late:]] == [figure(one) for one in again]
    assert [one.evidence["discoveries"] for one in fresh[late:]] == [one.evidence["discoveries"] for one in again]
    assert look(world) == []


def test_too_short_a_history_is_named_at_calibration_and_in_every_report(world: World) -> None:
    ready(world, alarms={"false_discoveries": 0.1, "memory": "30d"})
    serve(world, 0, 10)
    reason = calibrate(world)
    assert reason == "cannot alarm: false discoveries: 0.1 (memory 30d) needs 333 windows of history, has 9"
    report = look(world)[-1]
    assert report.unknown["alarm rate"] == reason
    assert (figure(report).p_value, figure(report).rejected) == (None, False)
    assert figure(report).memory.known == Discoveries(step=9)
    assert window_info(report).alarm == f"false discoveries: 0.1 (memory 30d) wanted, the rate is not known: {reason}"


def test_a_calibration_for_other_alarms_does_not_judge(world: World) -> None:
    ready(world, alarms={"false_alarms": "1 per 11d"})
    serve(world, 0, HISTORY + 2)
    calibrate(world)
    ready(world)
    report = look(world)[-1]
    expected = "the calibration is of other alarms (1 per 11d): run `flyball monitor calibrate`"
    assert report.unknown["alarm rate"] == expected
    assert not figure(report).rejected


def test_faulty_data_is_no_discovery(world: World) -> None:
    ready(world)
    serve(world, 0, HISTORY)
    world.serve(HISTORY, rows=60, features={"x": [None] * 30 + [4.0 + row / 30 for row in range(30)]})
    serve(world, HISTORY + 1, HISTORY + 2)
    assert calibrate(world) == ""
    report = look(world)[-1]
    assert report.faults
    assert (figure(report).p_value, figure(report).rejected) == (None, False)


def test_a_replay_goes_on_from_window_to_window_too(world: World) -> None:
    drifted_days(world)
    document = (
        "monitor: draft\nendpoint: live\nmodel: model\nwindow: 1d\nlabel_maturity: 1d\nmin_rows: 40\n"
        "alarms: {false_discoveries: 0.5, memory: 5d}\n"
    )
    found = world.monitors.backtest(document, reference_until_ms=HISTORY * DAY).draft
    assert found.stated.startswith(
        "false discoveries: 0.5 (memory 5d) wanted; while nothing changes 0.38 alarms in its memory"
    )
    assert [one.window_start_ms // DAY for one in found.fired if one.kind == "covariate_drift"][-1:] == [HISTORY + 3]
    short = world.monitors.backtest(document.replace("5d}", "50d}"), reference_until_ms=HISTORY * DAY).draft
    assert short.stated == (
        "no rate can be stated: cannot alarm: false discoveries: 0.5 (memory 50d) needs 111 windows of history, has 12"
    )


def test_the_file_states_a_share_and_its_memory() -> None:
    rules = parse_monitor({**PLAIN, "alarms": {"false_discoveries": 0.1, "memory": "30d", "least_effect": 0.1}}).alarms
    assert (rules.stated, rules.discoveries, rules.period_ms) == (True, "0.1 (memory 30d)", 30 * DAY)
    assert rules.chance(DAY) == pytest.approx(0.003)
    assert rules.discovery_rule(DAY) == DiscoveryRule(rate=0.1, decay=1 - 1 / 30)


@pytest.mark.parametrize(
    ("alarms", "field", "said"),
    [
        ({"false_discoveries": 0.1, "false_alarms": "1 per 90d", "memory": "30d"}, "false_discoveries", "has both"),
        ({"false_discoveries": 0.0, "memory": "30d"}, "false_discoveries", "above 0"),
        ({"false_discoveries": 0.6, "memory": "30d"}, "false_discoveries", "at most 0.5"),
        ({"false_discoveries": 0.1}, "memory", "needs 'memory'"),
        ({"false_discoveries": 0.1, "memory": "1d"}, "memory", "at least 2 windows"),
        ({"false_alarms": "1 per 90d", "memory": "30d"}, "memory", "leave it out"),
        ({"memory": "30d"}, "false_alarms", "add one of them"),
        ({"false_discoveries": 0.1, "memory": "30d", "least_effect": -1}, "least_effect", "negative"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_field(alarms: dict[str, object], field: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        parse_monitor({**PLAIN, "alarms": alarms})
    assert refused.value.field == f"alarms.{field}"
    assert refused.value.message.startswith("the monitor file: ")


def test_features_together_have_no_part_in_it() -> None:
    with pytest.raises(InvalidInput, match="each for itself") as refused:
        parse_monitor({**PLAIN, "alarms": ALARMS, "multivariate": {}})
    assert refused.value.field == "alarms.false_discoveries"
