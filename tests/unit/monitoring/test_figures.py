"""The newest of everything, read from each kind of database, and what a report that cannot be read does to the others."""

from __future__ import annotations

import pyarrow as pa
import pytest
from sqlalchemy import update
from tests.unit.monitoring.conftest import DAY, World

from flyball.monitoring.alerts.matching import Matcher
from flyball.monitoring.alerts.silences import Silence
from flyball.monitoring.entities import AlertKind, WindowState
from flyball.monitoring.exports.families import families
from flyball.monitoring.exports.figures import Figures, Standing
from flyball.monitoring.exports.reading import read_figures
from flyball.monitoring.losses import Losses
from flyball.monitoring.sql import SqlAlertStore, SqlFigureStore, SqlLossStore
from flyball.monitoring.sql import figures as sql_figures
from flyball.monitoring.tables import window_reports

ENDPOINTS = {"live": "model", "bare": "model"}


def read(world: World, *silences: Silence) -> Figures:
    store = SqlFigureStore(world.database)
    return read_figures(store, endpoints=ENDPOINTS, silences=silences, now_ms=world.clock.now_ms())


def watched(world: World) -> World:
    world.describe(1, pa.table({"x": [float(n) for n in range(500)]}))
    world.set_monitor()
    return world


def test_before_the_first_traffic_there_is_a_monitor_and_nothing_to_tell(everywhere: World) -> None:
    found = read(watched(everywhere))
    (one,) = found.monitors
    assert (one.closed, one.mature, one.watermark_ms, one.waiting, one.alerts) == (None, None, None, 0, {})
    assert [(end.endpoint, end.monitors, end.captured_rows) for end in found.endpoints] == [
        ("bare", 0, 0),
        ("live", 1, 0),
    ]


def test_the_newest_closed_and_the_newest_mature_window_are_found_behind_many_that_wait(
    everywhere: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_figures, "WINDOWS_PER_QUERY", 2)  # so that several pages are walked
    world = watched(everywhere)
    world.set_monitor(label_maturity="5d")
    world.label(world.serve(0))
    for day in range(1, 6):
        world.serve(day, rows=120)
    world.monitors.evaluate("watch")
    world.label(world.serve(6, rows=120)[:1])
    (one,) = read(world).monitors
    assert one.closed is not None
    assert (one.closed.start_ms, one.closed.state) == (4 * DAY, WindowState.CLOSED)
    assert one.mature is not None
    assert (one.mature.start_ms, one.mature.state) == (0, WindowState.MATURE)
    assert one.mature.quality is not None
    assert one.waiting == 2  # a batch of predictions and one of labels
    (_, live) = read(world).endpoints
    assert live.captured_rows == 240 + 6 * 120


def test_a_window_of_which_nothing_is_mature_yet_has_no_quality(everywhere: World) -> None:
    world = watched(everywhere)
    for day in range(2):
        world.serve(day, rows=120)
    world.monitors.evaluate("watch")
    (one,) = read(world).monitors
    assert one.closed is not None
    assert one.mature is None


def test_alerts_are_counted_until_they_are_resolved_and_losses_for_ever(everywhere: World) -> None:
    world = watched(everywhere)
    losses = Losses(
        SqlAlertStore(world.database),
        SqlLossStore(world.database),
        events=world.events,
        clock=world.clock,
        database=world.database,
    )
    alert = losses.report("live", "model", {"queue_full": 3, "spool_full": 1}, actor="service:endpoint")
    losses.report("live", "model", {"queue_full": 4}, actor="service:endpoint")
    live = read(world).endpoints[1]
    assert live.lost_rows == {"queue_full": 7, "spool_full": 1}
    assert live.alerts == {(AlertKind.CAPTURE_LOSS, Standing.FIRING): 1}
    silence = Silence(
        id="s",
        matcher=Matcher(endpoint="li*"),
        start_ms=0,
        end_ms=1,
        reason="known",
        author="user:ann",
        created_ms=0,
    )
    assert read(world, silence).endpoints[1].alerts == {(AlertKind.CAPTURE_LOSS, Standing.SILENCED): 1}
    world.monitors.acknowledge(alert.id, actor="user:ann")
    assert read(world, silence).endpoints[1].alerts == {(AlertKind.CAPTURE_LOSS, Standing.ACKNOWLEDGED): 1}
    assert read(world).endpoints[1].alerts == {(AlertKind.CAPTURE_LOSS, Standing.ACKNOWLEDGED): 1}
    world.monitors.resolve(alert.id, actor="user:ann")
    assert (read(world).endpoints[1].alerts, read(world).endpoints[1].lost_rows) == ({}, live.lost_rows)


def test_a_report_that_cannot_be_read_is_told_and_hides_no_other_monitor(world: World) -> None:
    watched(world).set_monitor(monitor="other")
    for day in range(2):
        world.serve(day, rows=120)
    for name in ("watch", "other"):
        world.monitors.evaluate(name)
    with world.database.transaction() as connection:
        spoiled = update(window_reports).where(window_reports.c.monitor == "watch").values(content='{"no": "report"}')
        connection.execute(spoiled)
    other, watch = read(world).monitors
    assert (other.unreadable, watch.unreadable) == (False, True)
    assert other.closed is not None
    assert watch.closed is None
    told = {one.name: one.samples for one in families(read(world), features=5)}
    assert {one.labels["monitor"]: one.value for one in told["flyball_monitor_unreadable"]} == {"other": 0, "watch": 1}
