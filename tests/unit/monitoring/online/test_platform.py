"""Detectors on the platform: they go on from window to window, and late labels rebuild what followed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import DAY, World

from flyball.kernel.errors import LeaseLost, UnknownKey
from flyball.monitoring.entities import AlertKind, Label, WindowReport
from flyball.monitoring.online.figures import OnlineFigure

ROWS: Mapping[str, object] = {"watch": "error", "detector": "cusum", "run_length": 1_000_000, "rise": 0.2}
WINDOWS: Mapping[str, object] = {"watch": "error", "per": "window", "detector": "cusum", "run_length": 365, "learn": 10}
PRICE: Mapping[str, object] = {"watch": "feature", "feature": "x", "detector": "cusum", "run_length": 365, "learn": 10}
ADWIN: Mapping[str, object] = {"watch": "error", "detector": "adwin"}


def _ready(world: World, *online: Mapping[str, object], **more: object) -> World:
    world.describe(1, pa.table({"x": np.random.default_rng(99).normal(0, 1, 3_000)}))
    plain: dict[str, object] = {
        "slices": {"search": False},
        "min_rows": 40,
        "quality": {"resamples": 100, "tolerance": 0.3},
    }
    world.set_monitor(online=list(online), **plain, **more)
    return world


def _look(world: World) -> list[WindowReport]:
    return world.monitors.evaluate("watch", actor="service:worker")


def _figure(world: World, day: int, place: int = 0) -> OnlineFigure:
    return world.monitors.report("watch", day * DAY).online[place]


def _taken(world: World, day: int) -> int:
    memory = _figure(world, day).memory
    assert memory is not None
    return memory.taken


def _changes(world: World) -> list[AlertKind]:
    return [alert.kind for alert in world.monitors.alerts() if alert.kind is AlertKind.LASTING_CHANGE]


def _serve(
    world: World,
    day: int,
    *,
    wrong_share: float = 0.1,
    version: int = 1,
    features: Mapping[str, Sequence[object]] | None = None,
) -> list[Label]:
    return world.serve(day, rows=80, wrong_share=wrong_share, version=version, features=features)


def _days(world: World, first: int, last: int, *, wrong_share: float = 0.1) -> None:
    for day in range(first, last):
        world.label(_serve(world, day, wrong_share=wrong_share))


def test_errors_add_up_over_windows_that_are_each_no_drop(world: World) -> None:
    _ready(world, ROWS)
    _days(world, 0, 3)
    _days(world, 3, 6, wrong_share=0.35)
    _serve(world, 6)
    reports = _look(world)
    fired = next(report for report in reports if report.online[0].change)
    change = fired.online[0].change
    assert change is not None
    assert (change.rose, change.alarms) == (True, True)
    assert 2 * DAY <= change.since_ms <= 4 * DAY
    assert 3 * DAY < change.found_ms <= 5 * DAY
    assert not any(report.quality and report.quality.dropped for report in reports)
    alert = next(alert for alert in world.monitors.alerts() if alert.kind is AlertKind.LASTING_CHANGE)
    assert alert.start_ms == fired.start_ms
    assert alert.causes[0].kind == "error_rise"
    assert "one false alarm in 1," in alert.causes[0].detail
    assert "error rose since 1970-01-0" in alert.causes[0].detail


def test_looking_day_by_day_is_looking_once(world: World) -> None:
    _ready(world, ROWS, WINDOWS, PRICE, ADWIN)
    for day in range(6):
        world.label(_serve(world, day))
        _look(world)
    _serve(world, 6)
    _look(world)
    daily = [world.monitors.report("watch", day * DAY) for day in range(6)]
    assert {report.revision for report in daily} == {1}
    _ready(world, ROWS, WINDOWS, PRICE, ADWIN, monitor="once")
    world.monitors.evaluate("once", actor="service:worker")
    assert [report.online for report in world.monitors.reports("once")] == [report.online for report in daily]


def test_late_labels_rebuild_the_windows_after_theirs(world: World) -> None:
    _ready(world, ROWS, WINDOWS, ADWIN)
    late = _serve(world, 0)
    world.label(late[:60])
    _days(world, 1, 6)
    _serve(world, 7)
    _look(world)
    stale = [_figure(world, day, 2).memory for day in range(6)]
    world.label(late[60:])
    reports = _look(world)
    assert [report.start_ms // DAY for report in reports] == [0, 1, 2, 3, 4, 5]
    assert {report.revision for report in reports} == {2}
    assert all(report.online[2].memory != before for report, before in zip(reports, stale, strict=True))
    # What a monitor sees that looks for the first time now is the same.
    _ready(world, ROWS, WINDOWS, ADWIN, monitor="fresh")
    fresh = world.monitors.evaluate("fresh", actor="service:worker")
    assert [report.online for report in fresh] == [report.online for report in reports]
    assert [report.evidence["online"] for report in fresh] == [report.evidence["online"] for report in reports]
    assert _look(world) == []


def test_a_window_that_matures_after_the_next_one_is_put_between(world: World) -> None:
    _ready(world, ROWS, label_maturity="3d")
    _days(world, 0, 1)
    slow = _serve(world, 1)
    _days(world, 2, 3)
    _serve(world, 3)
    _look(world)
    assert _figure(world, 1).reason == "its labels have not had their time"
    assert _taken(world, 2) == 160
    world.label(slow)
    _look(world)
    assert [_taken(world, day) for day in (0, 1, 2)] == [80, 160, 240]


def test_a_look_that_was_cut_short_leaves_no_stale_memory(world: World) -> None:
    _ready(world, ADWIN)
    late = _serve(world, 0)
    world.label(late[:60])
    _days(world, 1, 5)
    _serve(world, 6)
    _look(world)
    world.label(late[60:])
    calls = iter(range(3))

    def fence() -> None:
        if next(calls, None) is None:
            raise LeaseLost("another worker took over")

    with pytest.raises(LeaseLost):
        world.monitors.evaluate("watch", actor="service:worker", fence=fence)
    # All that follow from the window are written with it, or none: the third of them was refused.
    assert {_taken(world, day) for day in range(5)} == {60, 140, 220, 300, 380}
    assert [report.start_ms // DAY for report in _look(world)] == [0, 1, 2, 3, 4]
    assert [_taken(world, day) for day in range(5)] == [80, 160, 240, 320, 400]


def test_another_version_begins_anew(world: World) -> None:
    _ready(world, ROWS)
    world.describe(2, pa.table({"x": np.random.default_rng(98).normal(0, 1, 3_000)}))
    _days(world, 0, 2)
    for day in (2, 3):
        world.label(_serve(world, day, version=2))
    _serve(world, 4, version=2)
    _look(world)
    assert [_taken(world, day) for day in range(4)] == [80, 160, 80, 160]


def test_a_feature_that_moves_is_found_and_learned_anew(world: World) -> None:
    _ready(world, PRICE)
    generator = np.random.default_rng(5)
    for day in range(18):
        _serve(world, day, features={"x": (generator.normal(0, 1, 80) + 3.0 * (day >= 14)).tolist()})
    _look(world)
    learning, judged = _figure(world, 5), _figure(world, 12)
    assert learning.reason == "it learns what is usual: 6 of 10 windows"
    assert world.monitors.report("watch", 5 * DAY).unknown["online"].startswith("x mean: it learns")
    assert judged.score is not None
    found = [day for day in range(17) if _figure(world, day).change]
    assert found
    assert 14 <= found[0] <= 16
    change = _figure(world, found[0]).change
    assert change is not None
    assert abs(change.since_ms - 14 * DAY) <= 4 * DAY
    assert _changes(world) == [AlertKind.LASTING_CHANGE]
    after = _figure(world, found[0]).memory
    assert after is not None
    assert after.series is not None
    assert (after.taken, after.series.count) == (0, 0)


def test_faulty_data_and_missing_labels_are_passed_over(world: World) -> None:
    _ready(world, PRICE, ROWS)
    _days(world, 0, 2)
    _serve(world, 2, features={"x": [float("nan")] * 80})
    _serve(world, 3)
    _serve(world, 4)
    _look(world)
    broken = world.monitors.report("watch", 2 * DAY)
    assert broken.online[0].reason == "its data is faulty in this window"
    assert broken.online[0].memory == _figure(world, 1).memory
    assert broken.online[1].reason.startswith("0 of 80 rows have labels")
    assert "error: 0 of 80" in broken.unknown["online"]


def test_without_a_baseline_single_rows_are_unknown(world: World) -> None:
    _ready(world, ROWS)
    world.shelf.kept.clear()
    _days(world, 0, 1)
    _serve(world, 1)
    (report,) = _look(world)
    assert report.online[0].reason == "there is no baseline to hold single rows against"
    assert report.online[0].memory is None


def test_a_feature_that_is_not_served_is_refused(world: World) -> None:
    _serve(world, 0)
    with pytest.raises(UnknownKey, match="xx"):
        _ready(world, {**PRICE, "feature": "xx"})


def test_labels_may_be_revised(world: World) -> None:
    _ready(world, ROWS)
    labels = _serve(world, 0)
    world.label(labels)
    _days(world, 1, 3)
    _serve(world, 3)
    _look(world)
    assert _figure(world, 0).change is None
    turned = [Label(prediction_id=one.prediction_id, value=0, time_ms=one.time_ms) for one in labels[:40]]
    world.label(turned, revise=True)
    assert _look(world)[0].revision == 2
    assert _figure(world, 0).change is not None
