"""What of a prediction log may not go, by what is under way on the platform; and the worker that removes the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from tests.unit.monitoring.conftest import DAY, HOUR, predictions
from tests.unit.retraining.documents import LOOP, MONITOR
from tests.unit.server.conftest import SettingsFor

from flyball.deployment.entities import StopRule
from flyball.kernel.canonical import Digest
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import open_database
from flyball.monitoring.conformance import an_alert
from flyball.monitoring.entities import AlertState
from flyball.monitoring.retention import Hold
from flyball.monitoring.sql import SqlAlertStore
from flyball.retraining.conformance import a_request
from flyball.retraining.entities import RequestState
from flyball.retraining.sql import SqlRequestStore
from flyball.server.home import prepare_home
from flyball.server.migrations import upgrade
from flyball.server.platform import Platform
from flyball.server.retaining import hold_of
from flyball.server.worker import Worker

OWNER = "user:owner"
RULE = StopRule(metric="accuracy", alpha=0.05, margin=0.02, min_rows=100, max_rows=1_000)


@pytest.fixture
def clock() -> ManualClock:
    made = ManualClock()
    made.advance(20_000 * DAY - made.now_ms())
    return made


@pytest.fixture
def platform(settings_for: SettingsFor, clock: ManualClock) -> Iterator[Platform]:
    """Make a platform that keeps predictions for a day."""
    settings = settings_for(port="1", prediction_keep_days="1")
    prepare_home(settings)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(Platform(settings, clock)) as made:
        yield made


def test_where_nothing_is_under_way_nothing_is_held(platform: Platform) -> None:
    assert hold_of(platform, "price") == Hold()


def test_a_running_rollout_and_an_open_request_hold_the_whole_log(platform: Platform) -> None:
    platform.deployments.create("price", "price", 1, actor=OWNER)
    rollout = platform.deployments.start_rollout("price", 2, share=0.1, stop_rule=RULE, actor=OWNER)
    assert hold_of(platform, "price").everything
    assert not hold_of(platform, "other").everything
    platform.deployments.rollback(rollout.id, actor=OWNER, reason="enough was seen")
    assert (platform.deployments.get_rollout(rollout.id).state, hold_of(platform, "price")) == ("rolled_back", Hold())
    platform.requests.put_loop(LOOP, actor=OWNER)
    requests = SqlRequestStore(platform.database)
    requests.add(a_request("price", state=RequestState.PROMOTED))
    assert hold_of(platform, "price") == Hold()
    requests.add(a_request("price", state=RequestState.AWAITING_APPROVAL))
    assert hold_of(platform, "price").everything


def test_active_alerts_hold_their_windows_and_open_approvals_what_they_name(platform: Platform) -> None:
    platform.access.create_identity(OWNER, "owner", actor=OWNER)
    alert = an_alert(start_ms=500)
    SqlAlertStore(platform.database).add(alert)
    asked = platform.approvals.request("d1", {"predictions": "a" * 64}, requested_by=OWNER)
    assert hold_of(platform, "live") == Hold(spans=((500, 510),), digests=frozenset({Digest("a" * 64)}))
    platform.monitors.resolve(alert.id, actor=OWNER)
    platform.approvals.withdraw(asked.id, actor=OWNER, reason="it is over")
    assert platform.monitors.alerts()[0].state is AlertState.RESOLVED
    assert hold_of(platform, "live") == Hold()


def test_what_a_monitor_has_not_judged_to_the_end_is_held(platform: Platform, clock: ManualClock) -> None:
    platform.monitors.put(MONITOR, actor=OWNER)
    now = clock.now_ms()
    platform.predictions.accept("price", predictions(["a"], [now], [1], features={"x": [1.0]}))
    platform.monitors.evaluate("price", actor=OWNER)
    start = hold_of(platform, "price").from_ms
    assert start is not None
    assert start <= now < start + 2 * DAY


def test_the_worker_removes_what_is_past_its_age(platform: Platform, clock: ManualClock) -> None:
    platform.predictions.accept("live", predictions(["a"], [clock.now_ms()], [1]))

    def turn(hours: int) -> None:
        clock.advance(hours * HOUR)
        Worker(platform)._compact()  # a new one, for the leases of the last one have expired in these hours

    for _ in range(3):
        turn(2)
    (segment,) = platform.predictions.segments("live", 0, 1 << 60)
    turn(24)
    assert platform.predictions.segments("live", 0, 1 << 60) == []
    assert platform.artifacts.blobs.has(segment.digest)
    turn(2)
    assert not platform.artifacts.blobs.has(segment.digest)
    assert [event.kind for event in platform.events.all()].count("predictions.expired") == 1
