"""`/metrics` as Prometheus' own parser reads it: which families there are, what they say, and that they cost what they may."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event
from tests.monitored import HOUR_MS, ODD, drift_more, furnish
from tests.protocol.serving import TrackingServer

from flyball.kernel.telemetry import CONTENT_TYPE, Family, Sample, exposition
from flyball.monitoring.entities import AlertKind
from flyball.monitoring.exports.families import families
from flyball.server.installation import figures_of
from flyball.server.platform import Platform

MONITOR = {"monitor": "elec-production", "endpoint": "live", "model": "elec"}
NOW_MS = 1_790_000_000_000
Found: TypeAlias = dict[str, dict[tuple[tuple[str, str], ...], float]]


@pytest.fixture(scope="module")
def watched(shared_server: TrackingServer) -> TrackingServer:
    furnish(shared_server.platform, now_ms=NOW_MS)
    return shared_server


@pytest.fixture(scope="module")
def found(watched: TrackingServer) -> Found:
    answer = watched.request("GET", "/metrics")
    assert (answer.status, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    read: Found = {}
    for family in text_string_to_metric_families(answer.data.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            key = tuple(sorted(sample.labels.items()))
            assert key not in read.setdefault(sample.name, {}), f"{sample.name} {key} is there twice"
            read[sample.name][key] = sample.value
    return read


def one(found: Found, name: str, **labels: str) -> float:
    return found[name][tuple(sorted(labels.items()))]


def test_drift_is_told_by_feature_with_what_it_is_held_against(
    found: Found,
) -> None:
    demand = {**MONITOR, "feature": "demand", "measure": "wasserstein"}
    assert one(found, "flyball_monitor_drift_effect", **demand) == pytest.approx(3, abs=0.2)
    assert one(found, "flyball_monitor_drift_threshold", **demand) == 0.5
    assert one(found, "flyball_monitor_feature_drifted", **demand) == 1
    assert one(found, "flyball_monitor_feature_drifted", **{**demand, "feature": "load"}) == 0
    assert one(found, "flyball_monitor_strongest_drift_ratio", **MONITOR) == pytest.approx(6, abs=0.4)


def test_a_feature_may_have_any_name(found: Found) -> None:
    odd = {**MONITOR, "feature": ODD, "measure": "wasserstein"}
    assert one(found, "flyball_monitor_feature_drifted", **odd) == 0


def test_faults_quality_and_labels_are_told(found: Found) -> None:
    assert one(found, "flyball_monitor_data_fault_ratio", **MONITOR, feature="price", kind="constant") == 1
    counts = {"drifted": 1, "faulty": 1, "steady": 2, "unwatched": 0}
    assert {verdict: one(found, "flyball_monitor_features", **MONITOR, verdict=verdict) for verdict in counts} == counts
    quality = {
        name: one(found, f"flyball_monitor_quality{name}", **MONITOR, metric="accuracy")
        for name in ("", "_lower", "_upper", "_baseline")
    }
    assert quality["_lower"] <= quality[""] <= quality["_upper"]
    assert quality[""] == pytest.approx(0.9, abs=0.06)
    assert quality["_baseline"] == pytest.approx(0.9, abs=0.02)
    expected = {
        name: one(found, f"flyball_monitor_estimated_quality{name}", **MONITOR, metric="accuracy")
        for name in ("", "_lower", "_upper")
    }
    assert expected["_lower"] <= expected[""] <= expected["_upper"]
    assert expected[""] == pytest.approx(0.9, abs=0.03)
    assert one(found, "flyball_monitor_concept_gap", **MONITOR, metric="accuracy") == pytest.approx(0, abs=0.08)
    assert one(found, "flyball_monitor_quality_verdict", **MONITOR, verdict="held") == 1
    assert one(found, "flyball_monitor_quality_verdict", **MONITOR, verdict="dropped") == 0
    assert one(found, "flyball_monitor_label_coverage_ratio", **MONITOR) == 1


def test_alerts_are_told_in_every_kind_and_state_also_where_there_are_none(
    found: Found,
) -> None:
    told = {
        (labels["kind"], labels["state"]): count
        for key, count in found["flyball_monitor_alerts"].items()
        for labels in [dict(key)]
    }
    assert told["covariate_drift", "firing"] == told["data_fault", "firing"] == 1
    assert told["quality_drop", "firing"] == told["covariate_drift", "acknowledged"] == 0
    assert {kind for kind, _ in told} == set(AlertKind) - {AlertKind.CAPTURE_LOSS}
    loss = {"endpoint": "live", "model": "elec", "kind": "capture_loss", "state": "firing"}
    assert one(found, "flyball_endpoint_alerts", **loss) == 1


def test_windows_are_told_by_their_moments(found: Found) -> None:
    hour = HOUR_MS / 1000
    last = NOW_MS / 1000 // hour * hour
    assert one(found, "flyball_monitor_watermark_timestamp_seconds", **MONITOR) == last - hour / 240
    assert one(found, "flyball_monitor_closed_window_end_timestamp_seconds", **MONITOR) == last - hour
    assert one(found, "flyball_monitor_mature_window_end_timestamp_seconds", **MONITOR) == last - hour
    assert one(found, "flyball_monitor_window_length_seconds", **MONITOR) == hour
    assert one(found, "flyball_monitor_label_maturity_seconds", **MONITOR) == hour
    assert one(found, "flyball_monitor_waiting_batches", **MONITOR) == 0
    assert one(found, "flyball_monitor_window_version", **MONITOR) == 1
    assert one(found, "flyball_monitor_window_rows", **MONITOR) == 240


def test_endpoints_are_told_with_their_log_and_whether_anybody_watches(
    found: Found,
) -> None:
    live, unwatched = ({"endpoint": name, "model": "elec"} for name in ("live", "unwatched"))
    assert one(found, "flyball_endpoint_monitors", **live) == 1
    assert one(found, "flyball_endpoint_monitors", **unwatched) == 0
    assert one(found, "flyball_predictions_captured_total", **live) == 960
    assert one(found, "flyball_predictions_captured_total", **unwatched) == 0
    assert one(found, "flyball_predictions_lost_total", **live, reason="queue_full") == 3


def test_who_may_not_read_monitors_gets_no_figures(watched: TrackingServer) -> None:
    assert watched.request("GET", "/metrics", token="no token").status == 401


def test_a_scraper_needs_no_more_than_a_viewers_token(server: TrackingServer, token_for: Callable[..., str]) -> None:
    assert server.request("GET", "/metrics", token=token_for("viewer")).status == 200
    few = token_for("viewer", permissions=["endpoints:read"])
    assert server.request("GET", "/metrics", token=few).status == 403


def test_features_beyond_the_limit_are_counted_and_those_that_drifted_come_first(watched: TrackingServer) -> None:
    told = {one.name: one.samples for one in families(figures_of(watched.platform), features=1)}
    assert [sample.labels["feature"] for sample in told["flyball_monitor_drift_effect"]] == ["demand"]
    assert [sample.value for sample in told["flyball_monitor_features_left_out"]] == [3]
    assert len(told["flyball_monitor_data_fault_ratio"]) == 1


def statements(platform: Platform) -> Iterator[int]:
    """Count the statements of readings, one after the other."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    engine = platform.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        while True:
            seen.clear()
            figures_of(platform)
            yield len(seen)
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_reading_costs_no_more_after_more_traffic(server: TrackingServer) -> None:
    platform = server.platform
    furnish(platform, now_ms=NOW_MS)
    counted = statements(platform)
    before = next(counted)
    for hour in range(1, 4):
        drift_more(platform, start_ms=NOW_MS - NOW_MS % HOUR_MS + 2 * hour * HOUR_MS)
    after = next(counted)
    # The newest mature window is another than the newest closed one now, which is one report more; nothing else grew.
    assert after - before == 1
    assert before < 15


def test_numbers_that_are_none_are_written_as_prometheus_reads_them() -> None:
    page = exposition(
        [
            Family(
                name="f",
                what="Any number.",
                samples=[
                    Sample(labels={"n": str(n)}, value=value)
                    for n, value in enumerate((math.inf, -math.inf, math.nan, 1e-300))
                ],
            )
        ]
    )
    (family,) = text_string_to_metric_families(page.decode())
    values = [sample.value for sample in family.samples]
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])
    assert values[3] == 1e-300
