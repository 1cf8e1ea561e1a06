"""A loss of predictions is seen by people, and in the record."""

from __future__ import annotations

import pytest
from tests.unit.monitoring.conftest import World

from flyball.kernel.db import Database
from flyball.monitoring.entities import AlertKind, AlertState
from flyball.monitoring.losses import Losses
from flyball.monitoring.sql import SqlAlertStore, SqlLossStore


@pytest.fixture
def losses(world: World, sqlite: Database) -> Losses:
    return Losses(SqlAlertStore(sqlite), SqlLossStore(sqlite), events=world.events, clock=world.clock, database=sqlite)


def test_a_loss_fires_an_alert_that_names_rows_and_reason(losses: Losses, world: World) -> None:
    alert = losses.report("live", "m", {"queue_full": 3, "spool_full": 500}, actor="service:endpoint")
    [listed] = world.monitors.alerts()
    assert listed == alert
    assert (alert.kind, alert.state, alert.endpoint, alert.model) == (
        AlertKind.CAPTURE_LOSS,
        AlertState.FIRING,
        "live",
        "m",
    )
    assert [cause.text for cause in alert.causes] == [
        "500 predictions are not in the log: spool_full",
        "3 predictions are not in the log: queue_full",
    ]
    assert world.kinds() == ["predictions.lost", "alert.fired"]


def test_one_alert_stands_until_it_is_resolved_and_every_loss_is_recorded(losses: Losses, world: World) -> None:
    first = losses.report("live", "m", {"queue_full": 1}, actor="service:endpoint")
    assert losses.report("live", "m", {"queue_full": 2}, actor="service:endpoint") == first
    assert losses.report("other", "m", {"queue_full": 2}, actor="service:endpoint") != first
    world.monitors.resolve(first.id, actor="user:owner")
    second = losses.report("live", "m", {"queue_full": 4}, actor="service:endpoint")
    assert second.id != first.id
    assert world.kinds().count("predictions.lost") == 4
    assert world.kinds().count("alert.fired") == 3
