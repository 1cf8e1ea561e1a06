"""Finished deliveries are removed by their age; what is still needed stays."""

from __future__ import annotations

import pytest
from tests.receiver import Receiver
from tests.unit.monitoring.sinks.conftest import OWNER, Telling

from flyball.kernel.errors import LeaseLost
from flyball.monitoring.sinks.pruning import Pruning

DAY = 86_400_000


def pruning(telling: Telling, keep_ms: int = 90 * DAY) -> Pruning:
    return Pruning(
        telling.deliveries,
        keep_ms=keep_ms,
        events=telling.events,
        clock=telling.clock,
        database=telling.database,
    )


def free() -> None:
    """Let everybody write."""


def test_old_deliveries_go_once_what_they_told_of_is_over(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    over, active = telling.fire("x"), telling.fire("y", monitor="other")
    telling.wait()
    telling.life.resolve(over.id, actor=OWNER)
    telling.wait()
    telling.clock.advance(91 * DAY)
    assert pruning(telling, keep_ms=0).remove_old(fence=free) == 0
    assert pruning(telling).remove_old(fence=free) == 2  # its beginning and its end
    assert telling.told(over) == []
    assert len(telling.told(active)) == 1
    (event,) = telling.recorded("alert-deliveries.removed")
    assert event.payload["removed"] == 2
    assert pruning(telling).remove_old(fence=free) == 0
    telling.life.resolve(active.id, actor=OWNER)
    telling.wait()
    assert [one.occasion for one in telling.told(active)] == ["firing", "resolved"]


def test_young_deliveries_stay(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    alert = telling.fire()
    telling.wait()
    telling.life.resolve(alert.id, actor=OWNER)
    telling.wait()
    telling.clock.advance(89 * DAY)
    assert pruning(telling).remove_old(fence=free) == 0
    assert len(telling.told(alert)) == 2


def test_whoever_lost_the_lease_removes_nothing(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    alert = telling.fire()
    telling.wait()
    telling.life.resolve(alert.id, actor=OWNER)
    telling.wait()
    telling.clock.advance(91 * DAY)

    def lost() -> None:
        raise LeaseLost("gone")

    with pytest.raises(LeaseLost):
        pruning(telling).remove_old(fence=lost)
    assert len(telling.told(alert)) == 2
