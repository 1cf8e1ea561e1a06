"""An alert of every kind, as the rooms record it, is explained down to the data that its version learned from."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import World, build_world

from flyball.governance.explanation import Hop
from flyball.governance.why import Why, verify_explanation
from flyball.kernel.canonical import digest_json
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.events import Edge, EventKind, Ref
from flyball.monitoring.alerting import Alerting, Due
from flyball.monitoring.alerts.life import AlertLife
from flyball.monitoring.alerts.ports import Unheard
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import Alert, AlertKind, Cause
from flyball.monitoring.findings import Finding
from flyball.monitoring.losses import Losses
from flyball.monitoring.sql import SqlAlertStore, SqlLossStore, SqlReportStore

BEFORE = frozenset({"model-version:model/1", "run:r1", "dataset-version:elec2/1"})


class Told(EventKind):
    DONE = "told-of-alerts.done"


@pytest.fixture
def world(sqlite: Database, clock: ManualClock) -> World:
    """Return a world in which a version was trained from data, deployed, and watched over one window."""
    made = build_world(sqlite, clock)
    for subject, relation, about in (
        ("run:r1", "used", "dataset-version:elec2/1"),
        ("model-version:model/1", "made-by", "run:r1"),
        ("endpoint:live", "serves", "model-version:model/1"),
    ):
        edge = Edge(subject=Ref(subject), relation=relation, object=Ref(about))
        made.events.record(Told.DONE, actor="user:ann", subject=Ref(subject), payload={}, edges=[edge])
    made.describe(1, pa.table({"x": [0.0, 1.0, 2.0] * 100}))
    made.set_monitor()
    made.serve(0)
    made.serve(1)
    made.monitors.evaluate("watch", actor="service:worker")
    return made


def _fire(world: World, kind: AlertKind) -> Alert:
    store = SqlAlertStore(world.database)
    if kind is AlertKind.CAPTURE_LOSS:
        losses = Losses(
            store, SqlLossStore(world.database), events=world.events, clock=world.clock, database=world.database
        )
        return losses.report("live", "model", {"queue_full": 3}, actor="service:endpoint")
    life = AlertLife(store, Unheard(), events=world.events, clock=world.clock, database=world.database)
    alerting = Alerting(
        SqlReportStore(world.database), store, life, announcer=Unheard(), events=world.events, clock=world.clock
    )
    (report,) = world.monitors.reports("watch")
    causes = (
        Cause(feature="x", kind="drift", score=2.0, detail="far"),
        Cause(feature="", kind="other", score=1.0, detail="?"),
    )
    due = Due(findings=(Finding(kind=kind, causes=causes),), silent={})
    with world.database.transaction():
        alerting.fire(
            world.monitors.get("watch"), report, due, digest=digest_json(to_json(report)), actor="service:worker"
        )
    return next(one for one in store.list() if one.kind is kind)


def _things(hops: Sequence[tuple[Hop, Hop]]) -> list[str]:
    return [cause.thing for _, cause in hops]


@pytest.mark.parametrize("kind", list(AlertKind))
def test_an_alert_is_walked_to_version_run_and_data_and_each_step_is_proven(world: World, kind: AlertKind) -> None:
    for alert in world.monitors.alerts():
        world.monitors.resolve(alert.id, actor="user:ann")
    alert = _fire(world, kind)
    found = Why(world.events).chain(alert.ref)
    things = _things(list(found.walk()))
    assert set(things) >= BEFORE
    assert found.intact
    assert verify_explanation(found, world.events.all()).intact
    if kind is not AlertKind.CAPTURE_LOSS:
        assert {"window:watch/0", "feature:model/x"} <= set(things)


def test_what_people_noted_is_told_and_of_a_long_note_its_beginning(world: World) -> None:
    alert = _fire(world, AlertKind.QUALITY_DROP)
    world.monitors.acknowledge(alert.id, actor="user:ann", note="the sensor is being changed")
    world.monitors.resolve(alert.id, actor="user:ann", note="it was " + "very " * 300 + "wet")
    text = "\n".join(Why(world.events).chain(alert.ref).lines())
    assert "alert.acknowledged by user:ann" in text
    assert "note=the sensor is being changed" in text
    assert "note=it was very very" in text
    assert "wet" not in text
