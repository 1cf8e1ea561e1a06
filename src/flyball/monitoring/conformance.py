"""The promises of the ports of monitoring, as pytest classes; a store passes its class, or is none."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from flyball.kernel.canonical import Digest
from flyball.kernel.errors import Conflict
from flyball.kernel.ids import new_id
from flyball.monitoring.entities import (
    Alert,
    AlertKind,
    AlertState,
    AnswerKind,
    Cause,
    DataFault,
    FaultKind,
    FeatureDrift,
    PredictionKey,
    Quality,
    QualityVerdict,
    Segment,
    StoredLabel,
    Window,
    WindowReport,
    WindowState,
)
from flyball.monitoring.label_columns import LabelColumns
from flyball.monitoring.monitor import DriftRules, Monitor
from flyball.monitoring.multivariate.conformance import a_joint_drift
from flyball.monitoring.ports import (
    AlertStore,
    Grid,
    LabelStore,
    MonitorStore,
    PredictionStore,
    ReportStore,
    StretchStore,
)
from flyball.monitoring.stretches import Stretch

DIGEST = Digest("ab" * 32)


def a_key(name: str, *, time_ms: int = 10, answer: str = "") -> PredictionKey:
    """Return an index entry."""
    return PredictionKey(prediction_id=name, answer=answer, time_ms=time_ms, kind=AnswerKind.NUMBER)


def a_segment(arrival: int, *, endpoint: str = "live") -> Segment:
    """Return a segment of two rows."""
    return Segment(
        endpoint=endpoint, arrival=arrival, digest=DIGEST, row_count=2, min_ms=10, max_ms=20, created_ms=1_000
    )


def a_label(name: str, *, revision: int = 1, event_ms: int = 10, arrival: int = 1) -> StoredLabel:
    """Return a label."""
    return StoredLabel(prediction_id=name, revision=revision, value=1.0, time_ms=99, event_ms=event_ms, arrival=arrival)


def a_monitor(name: str = "watch") -> Monitor:
    """Return a monitor that differs from the defaults."""
    drift = DriftRules(ignore=("date",), thresholds={"x": 0.3})
    return Monitor(monitor=name, endpoint="live", model="model", window="1d", label_maturity="2h", drift=drift)


def a_window(start_ms: int, state: WindowState = WindowState.CLOSED) -> Window:
    """Return a window of ten milliseconds."""
    return Window(monitor="watch", start_ms=start_ms, end_ms=start_ms + 10, state=state, rows=7, labelled=3, revision=1)


def a_report(start_ms: int, *, revision: int = 1) -> WindowReport:
    """Return a report with everything that can be in one."""
    drift = FeatureDrift(
        feature="x", measure="wasserstein", effect=0.75, threshold=0.5, value=0.25, p_value=0.001, drifted=True
    )
    quality = Quality(
        metric="accuracy",
        value=0.75,
        lower=0.5,
        upper=0.8,
        baseline=0.9,
        tolerance=0.02,
        rows=4,
        hits=3,
        blocks=2,
        coverage=1.0,
        verdict=QualityVerdict.DROPPED,
        reason="below",
    )
    return WindowReport(
        monitor="watch",
        start_ms=start_ms,
        end_ms=start_ms + 10,
        revision=revision,
        state=WindowState.MATURE,
        version=3,
        versions={3: 4, 2: 1},
        rows=4,
        labelled=4,
        drift=(drift, replace(drift, feature="y", value=None, p_value=None, newly_varying=True)),
        faults=(DataFault(feature="z", kind=FaultKind.MISSING, share=0.5, detail="half"),),
        quality=quality,
        joint=(a_joint_drift(),),
        unknown={"data": "why"},
        unwatched={"t": "text"},
        evidence={"profile": DIGEST},
    )


def an_alert(kind: AlertKind = AlertKind.QUALITY_DROP, *, start_ms: int = 0) -> Alert:
    """Return a firing alert."""
    return Alert(
        id=new_id(),
        monitor="watch",
        endpoint="live",
        model="model",
        version=3,
        kind=kind,
        state=AlertState.FIRING,
        start_ms=start_ms,
        end_ms=start_ms + 10,
        causes=(Cause(feature="x", kind="drift", score=1.5, detail="far"),),
        report_digest=DIGEST,
        created_ms=1,
        updated_ms=1,
    )


def a_stretch(*, after: int, through: int, start_ms: int = 0, end_ms: int = 10) -> Stretch:
    """Return a stretch of the endpoint "live"."""
    return Stretch(
        endpoint="live", start_ms=start_ms, end_ms=end_ms, after=after, through=through, rows=7, content=b"\x00summary"
    )


class PredictionStoreConformance:
    """What every index of predictions promises."""

    def test_arrivals_count_from_one_an_endpoint(self, store: PredictionStore) -> None:
        assert [store.arrive("live", watermark_ms=5), store.arrive("live", watermark_ms=None)] == [1, 2]
        assert store.arrive("other", watermark_ms=5) == 1

    def test_the_watermark_never_falls(self, store: PredictionStore) -> None:
        for time_ms in (5, 3, None):
            store.arrive("live", watermark_ms=time_ms)
        stream = store.find_stream("live")
        assert stream is not None
        assert (stream.watermark_ms, stream.arrivals) == (5, 3)

    def test_an_unknown_endpoint_has_no_stream(self, store: PredictionStore) -> None:
        assert store.find_stream("live") is None

    def test_arrivals_of_many_threads_are_all_different(self, store: PredictionStore) -> None:
        taken: list[int] = []
        threads = [
            threading.Thread(target=lambda: taken.append(store.arrive("live", watermark_ms=1))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == list(range(1, 9))

    def test_known_ids_are_found_with_all_their_answers(self, store: PredictionStore) -> None:
        keys = [a_key("a"), a_key("a", answer="shadow/2"), a_key("b", time_ms=20)]
        store.add_segment(a_segment(1), keys)
        assert sorted(store.find_keys("live", ["a", "b", "c"]), key=lambda key: (key.prediction_id, key.answer)) == keys
        assert store.find_keys("other", ["a"]) == []

    def test_many_ids_are_found_at_once(self, store: PredictionStore) -> None:
        names = [f"p{number}" for number in range(12_000)]
        store.add_segment(a_segment(1), [a_key(name) for name in names])
        assert len(store.find_keys("live", names)) == 12_000

    def test_segments_are_found_by_the_rows_they_hold(self, store: PredictionStore) -> None:
        store.add_segment(a_segment(1), [a_key("a", time_ms=10), a_key("b", time_ms=90)])
        store.add_segment(a_segment(2), [a_key("c", time_ms=50)])
        assert store.segments("live", start_ms=40, end_ms=60) == [a_segment(2)]
        assert store.segments("live", start_ms=10, end_ms=51) == [a_segment(1), a_segment(2)]
        assert store.segments("live", start_ms=91, end_ms=200) == []

    def test_an_answers_segment_is_found_by_its_id(self, store: PredictionStore) -> None:
        store.add_segment(a_segment(1), [a_key("a", answer="shadow/2")])
        assert store.find_segment("live", "a") is None
        store.add_segment(a_segment(2), [a_key("a")])
        assert store.find_segment("live", "a") == a_segment(2)

    def test_answers_are_counted_without_shadows(self, store: PredictionStore) -> None:
        keys = [a_key("a", time_ms=10), a_key("a", time_ms=10, answer="shadow/2"), a_key("b", time_ms=20)]
        store.add_segment(a_segment(1), keys)
        assert store.count("live", start_ms=10, end_ms=20) == 1
        assert store.count("live", start_ms=10, end_ms=21) == 2

    def test_new_arrivals_touch_their_windows_only(self, store: PredictionStore) -> None:
        grid = Grid(window_ms=10, origin_ms=3)
        store.add_segment(a_segment(1), [a_key("a", time_ms=3)])
        store.add_segment(a_segment(2), [a_key("b", time_ms=2), a_key("c", time_ms=12), a_key("d", time_ms=33)])
        assert store.touched("live", after=1, through=2, grid=grid) == [-7, 3, 33]
        assert store.touched("live", after=0, through=1, grid=grid) == [3]
        assert store.touched("live", after=2, through=9, grid=grid) == []


class LabelStoreConformance:
    """What every store of labels promises."""

    def test_the_newest_revision_counts_and_all_are_kept(self, store: LabelStore) -> None:
        first, second = a_label("a"), replace(a_label("a", revision=2, arrival=2), value=0.0)
        store.add("live", [first, a_label("b")])
        store.add("live", [second])
        assert store.find("live", ["a", "b", "c"]) == {"a": second, "b": a_label("b")}
        assert store.history("live", "a") == [first, second]

    def test_labels_are_found_by_the_time_of_their_prediction(self, store: LabelStore) -> None:
        store.add("live", [a_label("a", event_ms=10), a_label("b", event_ms=20)])
        assert store.within("live", start_ms=10, end_ms=20) == LabelColumns.of([a_label("a", event_ms=10)])
        assert store.within("live", start_ms=30, end_ms=40) == LabelColumns()
        assert store.count("live", start_ms=10, end_ms=21) == 2
        assert store.count("other", start_ms=0, end_ms=99) == 0

    def test_a_revised_label_counts_once(self, store: LabelStore) -> None:
        store.add("live", [a_label("a")])
        store.add("live", [a_label("a", revision=2)])
        assert store.count("live", start_ms=0, end_ms=99) == 1

    @pytest.mark.parametrize("value", ["up", True, False, 1.0, 0.5])
    def test_values_come_back_as_they_were(self, store: LabelStore, value: float | str | bool) -> None:  # noqa: FBT001
        store.add("live", [replace(a_label("a"), value=value)])
        found = store.find("live", ["a"])["a"].value
        assert found == value
        assert isinstance(found, bool) == isinstance(value, bool)

    def test_new_arrivals_touch_their_windows_only(self, store: LabelStore) -> None:
        grid = Grid(window_ms=10, origin_ms=0)
        store.add("live", [a_label("a", event_ms=9, arrival=1)])
        store.add("live", [a_label("b", event_ms=10, arrival=2), a_label("c", event_ms=35, arrival=2)])
        assert store.touched("live", after=1, through=2, grid=grid) == [10, 30]

    def test_no_labels_are_no_work(self, store: LabelStore) -> None:
        store.add("live", [])
        assert store.find("live", []) == {}


class MonitorStoreConformance:
    """What every store of monitors promises."""

    def test_a_monitor_comes_back_as_it_was(self, store: MonitorStore) -> None:
        store.put(a_monitor(), now_ms=1)
        assert store.find("watch") == a_monitor()
        assert store.find("other") is None

    def test_monitors_are_listed_by_name(self, store: MonitorStore) -> None:
        for name in ("b", "a"):
            store.put(a_monitor(name), now_ms=1)
        assert [monitor.name for monitor in store.list()] == ["a", "b"]

    def test_a_changed_monitor_has_looked_as_far_as_before(self, store: MonitorStore) -> None:
        store.put(a_monitor(), now_ms=1)
        store.advance("watch", through=7)
        store.put(Monitor(monitor="watch", endpoint="live", model="model", window="1d", label_maturity="1d"), now_ms=2)
        assert store.cursor("watch") == 7
        changed = store.find("watch")
        assert changed is not None
        assert changed.label_maturity == "1d"

    def test_a_look_never_goes_back(self, store: MonitorStore) -> None:
        store.put(a_monitor(), now_ms=1)
        assert store.cursor("watch") == 0
        store.advance("watch", through=7)
        store.advance("watch", through=5)
        assert store.cursor("watch") == 7

    def test_windows_are_replaced_and_listed_by_start(self, store: MonitorStore) -> None:
        for window in (a_window(10), a_window(0, WindowState.OPEN), a_window(0, WindowState.MATURE)):
            store.put_window(window)
        assert store.windows("watch", unfinished=False) == [a_window(0, WindowState.MATURE), a_window(10)]
        assert store.windows("watch", unfinished=True) == [a_window(10)]
        assert store.find_window("watch", 10) == a_window(10)
        assert store.find_window("watch", 20) is None


class ReportStoreConformance:
    """What every store of reports promises."""

    def test_a_report_comes_back_as_it_was(self, store: ReportStore) -> None:
        store.add(a_report(0), digest=DIGEST, now_ms=1)
        assert store.find("watch", 0) == a_report(0)
        assert store.find("watch", 10) is None

    def test_every_revision_stays(self, store: ReportStore) -> None:
        reports = [a_report(0), a_report(0, revision=2)]
        for report in reports:
            store.add(report, digest=DIGEST, now_ms=1)
        assert store.history("watch", 0) == reports
        assert store.find("watch", 0) == reports[1]

    def test_a_revision_is_never_replaced(self, store: ReportStore) -> None:
        store.add(a_report(0), digest=DIGEST, now_ms=1)
        with pytest.raises(Conflict, match="somebody else"):
            store.add(replace(a_report(0), rows=1), digest=DIGEST, now_ms=1)
        assert store.find("watch", 0) == a_report(0)

    def test_the_newest_reports_of_the_last_windows_are_listed_by_start(self, store: ReportStore) -> None:
        for start_ms, revision in ((0, 1), (10, 1), (10, 2), (20, 1), (30, 1)):
            store.add(a_report(start_ms, revision=revision), digest=DIGEST, now_ms=1)
        assert store.newest("watch", before_ms=30, limit=2) == [a_report(10, revision=2), a_report(20)]
        assert [report.start_ms for report in store.newest("watch", before_ms=None, limit=9)] == [0, 10, 20, 30]
        assert store.newest("other", before_ms=None, limit=9) == []


class AlertStoreConformance:
    """What every store of alerts promises."""

    def test_an_alert_comes_back_as_it_was(self, store: AlertStore) -> None:
        alert = an_alert()
        store.add(alert)
        assert store.find(alert.id) == alert
        assert store.find(new_id()) is None

    def test_one_alert_of_a_kind_is_active_at_a_time(self, store: AlertStore) -> None:
        first = an_alert()
        store.add(first)
        store.add(an_alert(AlertKind.DATA_FAULT))
        with pytest.raises(Conflict, match="active"):
            store.add(an_alert(start_ms=10))
        assert store.find_active("watch", AlertKind.QUALITY_DROP) == first

    def test_a_resolved_alert_makes_room_and_is_remembered(self, store: AlertStore) -> None:
        first = an_alert()
        store.add(first)
        store.update(replace(first, state=AlertState.RESOLVED), expected=AlertState.FIRING)
        assert store.find_active("watch", AlertKind.QUALITY_DROP) is None
        assert store.has_fired("watch", AlertKind.QUALITY_DROP, start_ms=0)
        assert not store.has_fired("watch", AlertKind.QUALITY_DROP, start_ms=10)
        store.add(an_alert(start_ms=10))

    def test_an_alert_moved_by_two_at_once_is_a_conflict(self, store: AlertStore) -> None:
        alert = an_alert()
        store.add(alert)
        store.update(replace(alert, state=AlertState.ACKNOWLEDGED), expected=AlertState.FIRING)
        with pytest.raises(Conflict, match="any more"):
            store.update(replace(alert, state=AlertState.RESOLVED), expected=AlertState.FIRING)

    def test_alerts_are_listed_newest_first_and_by_state(self, store: AlertStore) -> None:
        first, second = an_alert(), an_alert(AlertKind.DATA_FAULT)
        store.add(first)
        store.add(second)
        store.update(replace(first, state=AlertState.ACKNOWLEDGED), expected=AlertState.FIRING)
        assert [alert.id for alert in store.list()] == [second.id, first.id]
        assert [alert.id for alert in store.list(states=[AlertState.FIRING])] == [second.id]
        assert store.list(monitor="other") == []

    def test_alerts_are_listed_page_by_page_by_kind_and_since_when(self, store: AlertStore) -> None:
        first, second = an_alert(), an_alert(AlertKind.DATA_FAULT)
        for alert in (first, second):
            store.add(alert)
        assert store.list(limit=1) == [second]
        assert store.list(limit=1, before=second.id) == [first]
        assert store.list(kind=AlertKind.DATA_FAULT) == [second]
        assert store.list(since_ms=0) == [second, first]
        assert store.list(since_ms=1 << 47) == []


class StretchStoreConformance:
    """What every store of summarised traffic promises."""

    def test_stretches_come_back_in_order_a_span_for_itself(self, store: StretchStore) -> None:
        later, first = a_stretch(after=3, through=5), a_stretch(after=0, through=3)
        for one in (later, first, a_stretch(after=0, through=9, end_ms=20)):
            store.add(one)
        assert store.list("live", start_ms=0, end_ms=10) == [first, later]
        assert store.list("other", start_ms=0, end_ms=10) == []

    def test_a_stretch_is_kept_once(self, store: StretchStore) -> None:
        store.add(a_stretch(after=0, through=3))
        with pytest.raises(Conflict):
            store.add(a_stretch(after=0, through=4))
        assert store.list("live", start_ms=0, end_ms=10) == [a_stretch(after=0, through=3)]

    def test_one_stretch_takes_the_place_of_those_within_it(self, store: StretchStore) -> None:
        for after, through in ((0, 3), (3, 5), (5, 8)):
            store.add(a_stretch(after=after, through=through))
        store.join(a_stretch(after=0, through=5))
        assert [(one.after, one.through) for one in store.list("live", start_ms=0, end_ms=10)] == [(0, 5), (5, 8)]

    def test_only_the_last_spans_of_a_length_are_kept(self, store: StretchStore) -> None:
        for start in (0, 10, 20):
            store.add(a_stretch(after=0, through=1, start_ms=start, end_ms=start + 10))
        store.add(a_stretch(after=0, through=1, start_ms=0, end_ms=100))
        store.prune("live", length_ms=10, keep=2)
        kept = [start for start in (0, 10, 20) if store.list("live", start_ms=start, end_ms=start + 10)]
        assert kept == [10, 20]
        assert store.list("live", start_ms=0, end_ms=100)
