"""Monitors look at what is new, report it, and call for attention once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import World, predictions

from flyball.kernel.canonical import digest_json
from flyball.kernel.errors import Conflict, InvalidInput, LeaseLost, NotFound, UnknownKey
from flyball.kernel.events import ref
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import (
    AlertKind,
    AlertState,
    DataVerdict,
    FaultKind,
    QualityVerdict,
    WindowReport,
    WindowState,
)
from flyball.monitoring.monitor import DAY_MS


def _training(seed: int = 99) -> pa.Table:
    return pa.table({"x": np.random.default_rng(seed).normal(0, 1, 3_000), "target": [0, 1, 2] * 1_000})


def _ready(world: World, **monitor: object) -> World:
    world.describe(1, _training())
    world.set_monitor(**monitor)
    return world


def _look(world: World) -> list[WindowReport]:
    return world.monitors.evaluate("watch", actor="service:worker")


def _alerts(world: World, kind: AlertKind) -> Sequence[int]:
    return [alert.start_ms // DAY_MS for alert in world.monitors.alerts() if alert.kind is kind]


def test_nothing_is_known_before_the_first_traffic(everywhere: World) -> None:
    _ready(everywhere)
    assert _look(everywhere) == []
    progress = everywhere.monitors.progress("watch")
    assert (progress.watermark_ms, progress.closed_through_ms, progress.matured_through_ms) == (-1, -1, -1)


def test_a_window_is_open_then_closed_then_mature(everywhere: World) -> None:
    world = _ready(everywhere)
    labels = world.serve(0)
    assert _look(world) == []
    assert [window.state for window in world.monitors.windows("watch")] == [WindowState.OPEN]
    world.serve(1)
    (closed,) = _look(world)
    assert (closed.state, closed.revision, closed.quality, closed.rows) == (WindowState.CLOSED, 1, None, 240)
    world.label(labels[:200])
    assert _look(world) == []
    world.serve(2)
    mature, next_closed = _look(world)
    assert (mature.start_ms, mature.state, mature.revision, mature.labelled) == (0, WindowState.MATURE, 2, 200)
    assert mature.quality is not None
    assert mature.quality.verdict is QualityVerdict.HELD
    assert (next_closed.start_ms, next_closed.state) == (DAY_MS, WindowState.CLOSED)
    progress = world.monitors.progress("watch")
    assert (progress.closed_through_ms, progress.matured_through_ms) == (2 * DAY_MS, DAY_MS)


def test_a_window_with_all_its_labels_matures_at_its_end(world: World) -> None:
    _ready(world)
    world.label(world.serve(0))
    world.serve(1)
    (report,) = _look(world)
    assert (report.state, report.revision) == (WindowState.MATURE, 1)
    assert world.kinds()[-2:] == ["window.closed", "window.matured"]


def test_looking_again_changes_nothing(everywhere: World) -> None:
    world = _ready(everywhere)
    world.label(world.serve(0))
    world.serve(1)
    assert world.monitors.has_work("watch")
    assert len(_look(world)) == 1
    assert not world.monitors.has_work("watch")
    before = world.kinds()
    assert _look(world) == []
    assert world.kinds() == before


def test_a_look_that_was_cut_short_is_repeated_without_doubles(world: World) -> None:
    _ready(world)
    for day in range(4):
        world.label(world.serve(day, wrong_share=0.5))
    left = iter([None, None])

    def fence() -> None:
        if next(left, "gone") == "gone":
            raise LeaseLost("another worker took over")

    with pytest.raises(LeaseLost):
        world.monitors.evaluate("watch", actor="service:worker", fence=fence)
    assert [report.start_ms for report in world.monitors.reports("watch")] == [0, DAY_MS]
    assert [report.start_ms for report in _look(world)] == [2 * DAY_MS]
    assert {report.revision for report in world.monitors.reports("watch")} == {1}
    assert world.kinds().count("alert.fired") == 1
    assert world.events.verify().intact


def test_a_lost_lease_writes_nothing(world: World) -> None:
    _ready(world)
    world.serve(0)
    world.serve(1)
    before = world.kinds()

    def fence() -> None:
        raise LeaseLost("another worker took over")

    with pytest.raises(LeaseLost):
        world.monitors.evaluate("watch", actor="service:worker", fence=fence)
    assert world.kinds() == before
    assert world.monitors.windows("watch") == []


def test_labels_after_maturity_open_the_window_again(everywhere: World) -> None:
    world = _ready(everywhere)
    labels = world.serve(0)
    world.label(labels[:130])
    world.serve(1)
    world.serve(2)
    assert [report.labelled for report in _look(world)] == [130, 0]
    world.label(labels[130:])
    (again,) = _look(world)
    assert (again.start_ms, again.revision, again.labelled) == (0, 2, 240)
    assert [report.labelled for report in world.monitors.report_history("watch", 0)] == [130, 240]
    assert world.kinds()[-1] == "window.matured"


def test_a_revised_label_opens_the_window_again(world: World) -> None:
    _ready(world)
    labels = world.serve(0, wrong_share=0.0)
    world.label(labels)
    world.serve(1)
    (first,) = _look(world)
    flipped = [type(label)(prediction_id=label.prediction_id, value=0, time_ms=label.time_ms) for label in labels]
    world.label(flipped, revise=True)
    (second,) = _look(world)
    assert first.quality is not None
    assert second.quality is not None
    assert (first.quality.value, second.quality.value, second.revision) == (1.0, 0.0, 2)


def test_predictions_after_the_end_make_a_new_report(world: World) -> None:
    _ready(world)
    world.serve(0, rows=200)
    world.serve(1)
    assert _look(world)[0].rows == 200
    world.serve(0, rows=120, version=2, role="canary")
    world.serve(0, rows=100, version=3)
    (again,) = _look(world)
    assert (again.rows, again.revision, dict(again.versions)) == (200, 2, {1: 200, 3: 100})


def test_a_report_says_what_it_was_made_from(world: World) -> None:
    _ready(world)
    world.label(world.serve(0))
    world.serve(1)
    (report,) = _look(world)
    assert set(report.evidence) == {"monitor", "profile", "baseline", "segments", "labels"}
    event = next(event for event in world.events.all() if event.kind == "window.matured")
    assert event.payload["report"] == digest_json(to_json(report))
    assert world.monitors.report("watch", 0) == report


def test_a_window_observes_its_endpoint_and_its_versions(world: World) -> None:
    _ready(world)
    world.serve(0)
    world.serve(1)
    _look(world)
    edges = [(edge.relation, edge.object) for edge in world.events.store.edges_from(ref("window", "watch/0"))]
    assert edges == [("observes", "endpoint:live"), ("observes", "model-version:model/1")]


def test_a_drop_in_quality_fires_once_until_it_is_resolved(everywhere: World) -> None:
    world = _ready(everywhere)
    for day in range(4):
        world.label(world.serve(day, wrong_share=0.5))
        _look(world)
    assert _alerts(world, AlertKind.QUALITY_DROP) == [0]
    (alert,) = world.monitors.alerts()
    assert (alert.causes[0].kind, alert.version, alert.endpoint) == ("concept", 1, "live")
    silent = [event.payload["silent"] for event in world.events.all() if event.kind == "window.matured"]
    assert silent[1] == {"quality_drop": f"alert {alert.id} is firing already"}
    world.monitors.resolve(alert.id, actor="user:owner")
    assert _look(world) == []
    world.label(world.serve(4, wrong_share=0.5))
    _look(world)
    assert _alerts(world, AlertKind.QUALITY_DROP) == [3, 0]


def test_an_alert_is_about_its_window(world: World) -> None:
    _ready(world)
    world.label(world.serve(0, wrong_share=0.5))
    world.serve(1)
    _look(world)
    (alert,) = world.monitors.alerts(monitor="watch", states=[AlertState.FIRING])
    assert [(edge.relation, edge.object) for edge in world.events.store.edges_from(alert.ref)] == [
        ("about", "window:watch/0")
    ]
    assert world.kinds()[-3:] == ["window.closed", "window.matured", "alert.fired"]


def test_wrong_data_is_a_fault_and_no_drift(world: World) -> None:
    _ready(world)
    world.serve(0, features={"x": np.random.default_rng(1).normal(0, 1_000, 240).tolist()})
    world.serve(1)
    (report,) = _look(world)
    assert [fault.kind for fault in report.faults] == [FaultKind.OUT_OF_RANGE]
    assert report.data_verdict is DataVerdict.CORRUPTED
    assert report.data_reason.startswith("x: ")
    assert [alert.kind for alert in world.monitors.alerts()] == [AlertKind.DATA_FAULT]


def test_changed_data_is_drift_and_no_fault(world: World) -> None:
    _ready(world)
    world.serve(0, features={"x": np.random.default_rng(1).normal(1.2, 1, 240).tolist()})
    world.serve(1)
    (report,) = _look(world)
    assert (report.data_verdict, [drift.feature for drift in report.drifted]) == (DataVerdict.CLEAN, ["x"])
    (alert,) = world.monitors.alerts()
    assert (alert.kind, alert.causes[0].feature) == (AlertKind.COVARIATE_DRIFT, "x")


def test_a_quiet_stream_fires_nothing(world: World) -> None:
    _ready(world)
    for day in range(12):
        world.label(world.serve(day))
    assert len(_look(world)) == 11
    assert world.monitors.alerts() == []


def test_an_alert_may_have_to_persist(world: World) -> None:
    _ready(world, persist_windows=2)
    for day, wrong_share in enumerate([0.5, 0.1, 0.5, 0.5, 0.1]):
        world.label(world.serve(day, wrong_share=wrong_share))
        _look(world)
    assert _alerts(world, AlertKind.QUALITY_DROP) == [3]


def test_only_the_champions_rows_are_judged(world: World) -> None:
    _ready(world)
    world.label(world.serve(0, wrong_share=0.1))
    world.label(world.serve(0, wrong_share=0.9, rows=100, version=2, role="canary"))
    world.serve(1)
    (report,) = _look(world)
    assert (report.version, report.rows, dict(report.versions)) == (1, 240, {1: 240})
    assert report.quality is not None
    assert report.quality.verdict is QualityVerdict.HELD
    assert world.log.outcomes("live", 2, 0, DAY_MS).rows == 100


def test_rows_that_a_version_answered_as_canary_are_not_the_champions(world: World) -> None:
    _ready(world)
    world.serve(0, rows=150, role="canary")
    world.serve(0, rows=200)
    world.serve(1)
    (report,) = _look(world)
    assert (report.rows, dict(report.versions)) == (200, {1: 200})


def test_a_drop_of_a_version_that_was_replaced_is_reported_and_not_alerted(world: World) -> None:
    _ready(world, label_maturity="2d")
    world.describe(2, _training())
    late = world.serve(0, wrong_share=0.5)
    world.label(late[:-1])
    for day in (1, 2, 3):
        world.serve(day, version=2)
        _look(world)
    report = world.monitors.report("watch", 0)
    assert report.quality is not None
    assert report.quality.dropped
    assert world.monitors.alerts() == []
    event = next(event for event in world.events.all() if event.kind == "window.matured")
    assert event.payload["silent"] == {"quality_drop": "version 1 was replaced by version 2 since"}


def test_what_cannot_be_judged_is_named_and_never_a_pass(world: World) -> None:
    world.set_monitor()
    world.label(world.serve(0))
    world.serve(1, rows=20)
    (bare,) = _look(world)
    assert bare.data_verdict is DataVerdict.UNKNOWN
    assert bare.unknown == {
        "data": "the version carries no profile to hold against",
        "drift": "the version carries no profile to hold against",
        **dict.fromkeys(("quality", "estimated", "concept"), "the version carries no baseline to hold against"),
    }
    world.describe(1, _training())
    world.serve(3)
    report = next(report for report in _look(world) if report.start_ms == DAY_MS)
    assert report.unknown["data"] == "20 rows, 100 are needed"
    assert report.quality is not None
    assert report.quality.verdict is QualityVerdict.UNKNOWN


def test_evidence_that_cannot_be_read_is_a_named_unknown(world: World) -> None:
    world.set_monitor()
    kinds = list(_ready(world).shelf.kept["model", 1])
    world.shelf.kept["model", 1] = dict.fromkeys(kinds, world.artifacts.put_json({"odd": 1}))
    world.label(world.serve(0))
    world.serve(1)
    (report,) = _look(world)
    assert "the version's profile cannot be read" in report.unknown["data"]
    assert "the version's baseline cannot be read" in report.unknown["quality"]


def test_a_window_of_shadows_only_has_no_champion(world: World) -> None:
    _ready(world)
    world.serve(0, version=2, role="canary")
    world.serve(1)
    (report,) = _look(world)
    assert (report.version, report.data_verdict) == (None, DataVerdict.UNKNOWN)
    assert report.unknown["data"] == "no champion answered in this window"


def test_features_nobody_watches_are_named(world: World) -> None:
    _ready(world)
    world.serve(0, features={"x": [0.1 * (row % 17) - 0.8 for row in range(240)], "new": [1] * 240})
    world.serve(1)
    (report,) = _look(world)
    assert report.unwatched == {
        "target": "not among the features served",
        "new": "the version's profile does not know it",
    }


def test_tensors_are_kept_and_named_as_not_judged(world: World) -> None:
    _ready(world)
    world.serve(0, features={"x": [0.1 * (row % 17) - 0.8 for row in range(240)]})
    row = predictions(["image"], [DAY_MS - 1], [1], features={"x": [0.0]})
    world.log.accept("live", row.append_column("tensor.image", pa.array([[0.5, 1.5]])))
    world.serve(1)
    (report,) = _look(world)
    assert report.unwatched["image"] == "a tensor, which is kept and not judged"


def test_windows_begin_at_the_origin(world: World) -> None:
    _ready(world, origin_ms=DAY_MS // 4)
    world.serve(0)
    world.serve(1)
    assert [report.start_ms for report in _look(world)] == [-DAY_MS * 3 // 4, DAY_MS // 4]


def test_a_monitor_set_after_the_traffic_catches_up(world: World) -> None:
    world.describe(1, _training())
    for day in range(3):
        world.label(world.serve(day))
    world.set_monitor()
    assert [report.start_ms // DAY_MS for report in _look(world)] == [0, 1]


def test_setting_a_monitor_leaves_one_event_and_the_same_again_none(everywhere: World) -> None:
    everywhere.set_monitor()
    everywhere.set_monitor()
    assert everywhere.kinds() == ["monitor.set"]
    everywhere.set_monitor(min_rows=5)
    assert everywhere.kinds() == ["monitor.set"] * 2
    assert everywhere.monitors.get("watch").min_rows == 5
    assert [monitor.name for monitor in everywhere.monitors.list()] == ["watch"]


@pytest.mark.parametrize("change", [{"window": "2d"}, {"endpoint": "other"}, {"model": "other"}, {"origin_ms": 7}])
def test_a_monitor_cannot_change_what_its_reports_rest_on(world: World, change: dict[str, object]) -> None:
    world.set_monitor()
    with pytest.raises(Conflict, match="another name") as caught:
        world.set_monitor(**change)
    assert caught.value.field == next(iter(change))


def test_a_bad_file_sets_nothing(world: World) -> None:
    with pytest.raises(UnknownKey):
        world.set_monitor(windows="1d")
    with pytest.raises(InvalidInput):
        world.set_monitor(min_rows=0)
    assert world.monitors.list() == []
    assert world.kinds() == []


def test_an_alert_is_acknowledged_then_resolved(everywhere: World) -> None:
    world = _ready(everywhere)
    world.label(world.serve(0, wrong_share=0.5))
    world.serve(1)
    _look(world)
    (alert,) = world.monitors.alerts()
    world.clock.advance(5)
    acknowledged = world.monitors.acknowledge(alert.id, actor="user:owner", note="looking")
    assert (acknowledged.state, acknowledged.note, acknowledged.updated_ms - alert.updated_ms) == (
        AlertState.ACKNOWLEDGED,
        "looking",
        5,
    )
    with pytest.raises(Conflict, match="cannot become acknowledged"):
        world.monitors.acknowledge(alert.id, actor="user:owner")
    world.monitors.resolve(alert.id, actor="user:owner", note="retrained")
    with pytest.raises(Conflict, match="cannot become resolved"):
        world.monitors.resolve(alert.id, actor="user:owner")
    assert world.monitors.alert(alert.id).note == "retrained"
    assert world.kinds()[-2:] == ["alert.acknowledged", "alert.resolved"]
    assert world.monitors.alerts(states=[AlertState.FIRING, AlertState.ACKNOWLEDGED]) == []


def test_what_does_not_exist_is_not_found(world: World) -> None:
    world.set_monitor()
    with pytest.raises(NotFound, match="known: watch"):
        world.monitors.get("wacht")
    with pytest.raises(NotFound, match="no alert"):
        world.monitors.resolve("0" * 32, actor="user:owner")
    with pytest.raises(NotFound, match="reported no window"):
        world.monitors.report("watch", 5)
    assert world.monitors.find_report("watch", 5) is None
