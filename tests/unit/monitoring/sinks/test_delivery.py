"""Told at least once, together with its group, not while silenced, not after it is over; given up with an event."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from tests.receiver import Receiver
from tests.unit.monitoring.sinks.conftest import ATTEMPTS, MINUTE, OWNER, SECRET, Telling

from flyball.kernel.delivery import signature
from flyball.kernel.errors import Conflict, LeaseLost
from flyball.monitoring.alerts.matching import Matcher
from flyball.monitoring.entities import AlertKind, AlertState
from flyball.monitoring.sinks.entities import DeliveryState

HOUR = 60 * MINUTE


def bodies(receiver: Receiver) -> list[dict[str, object]]:
    return [json.loads(each.body) for each in receiver.received]


def names(body: dict[str, object]) -> list[str]:
    return [alert["endpoint"] for alert in body["alerts"]]  # type: ignore[attr-defined]


def silence(telling: Telling, lasting_ms: int = HOUR, **matcher: str) -> str:
    end_ms = telling.clock.now_ms() + lasting_ms
    made = telling.silences.add(Matcher(**matcher), start_ms=None, end_ms=end_ms, reason="rebuilt", actor=OWNER)
    return made.id


def test_an_alert_is_told_once_signed_and_recorded(everywhere: Telling, receiver: Receiver) -> None:
    everywhere.set_sinks("ops", url=receiver.url)
    alert = everywhere.fire()
    everywhere.wait(0)
    assert receiver.received == []  # the group waits for others
    everywhere.wait()
    (one,) = receiver.wait_for(1)
    sent, moment = one.headers["x-flyball-delivery-id"], one.headers["x-flyball-timestamp"]
    assert one.headers["x-flyball-signature"] == signature(SECRET, sent, moment=moment, body=one.body)
    assert json.loads(one.body)["alerts"][0]["id"] == alert.id
    everywhere.wait(HOUR)
    assert len(receiver.received) == 1
    (delivery,) = everywhere.told(alert)
    assert (delivery.state, delivery.attempts, delivery.due_ms) == (DeliveryState.DELIVERED, 1, None)
    (event,) = everywhere.recorded("alert.told")
    assert event.payload["alerts"] == [alert.id]
    assert event.subject == delivery.ref


def test_endpoints_with_the_same_broken_column_are_one_message(everywhere: Telling, receiver: Receiver) -> None:
    everywhere.set_sinks("ops", url=receiver.url)
    for name in "abc":
        everywhere.fire("price", monitor=name, endpoint=name)
    everywhere.fire("volume", monitor="d", endpoint="d")
    everywhere.wait()
    assert sorted(names(body) for body in bodies(receiver)) == [["a", "b", "c"], ["d"]]


def test_what_no_feature_explains_is_not_told_with_another_endpoints(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    for name in "ab":
        telling.fire("", monitor=name, endpoint=name, kind=AlertKind.QUALITY_DROP)
    telling.wait()
    assert sorted(names(body) for body in bodies(receiver)) == [["a"], ["b"]]


def test_what_comes_after_the_first_attempt_is_a_message_of_its_own(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    telling.fire("price", monitor="a", endpoint="a")
    telling.wait()
    telling.fire("price", monitor="b", endpoint="b")
    telling.wait()
    assert [names(body) for body in bodies(receiver)] == [["a"], ["b"]]


def test_a_failed_attempt_is_repeated_with_the_same_key_and_given_up_at_last(
    telling: Telling, receiver: Receiver
) -> None:
    telling.set_sinks("ops", url=receiver.url)
    receiver.answers[:] = [500]
    alert = telling.fire()
    for _ in range(ATTEMPTS + 2):
        telling.wait(HOUR)
    assert len(receiver.received) == ATTEMPTS
    assert len({each.headers["x-flyball-delivery-id"] for each in receiver.received}) == 1
    (delivery,) = telling.told(alert)
    assert (delivery.state, delivery.attempts, delivery.due_ms) == (DeliveryState.GIVEN_UP, ATTEMPTS, None)
    assert delivery.reason == "the receiver answered 500: thanks"
    (event,) = telling.recorded("alert.telling_given_up")
    assert event.payload["reason"] == delivery.reason
    assert telling.recorded("alert.told") == []


def test_pauses_grow(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    receiver.answers[:] = [500, 500, 200]
    alert = telling.fire()
    telling.wait()
    telling.wait(999)
    assert len(receiver.received) == 1
    telling.wait(1)
    assert len(receiver.received) == 2
    telling.wait(3_999)
    assert len(receiver.received) == 2
    telling.wait(1)
    assert telling.told(alert)[0].state is DeliveryState.DELIVERED


def test_a_process_that_dies_after_the_answer_tells_it_again_under_the_same_key(
    telling: Telling, receiver: Receiver
) -> None:
    telling.set_sinks("ops", url=receiver.url)
    alert = telling.fire()
    telling.clock.advance(MINUTE)
    left = iter([None])

    def fence() -> None:
        if next(left, "gone") == "gone":
            raise LeaseLost("it died")

    with pytest.raises(LeaseLost):
        telling.deliverer.deliver("ops", fence=fence)
    assert telling.told(alert)[0].state is DeliveryState.WAITING
    telling.wait()
    first, second = (each.headers["x-flyball-delivery-id"] for each in receiver.received)
    assert first == second
    assert telling.told(alert)[0].state is DeliveryState.DELIVERED


def test_who_lost_the_lease_tells_nothing(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    telling.fire()
    telling.clock.advance(MINUTE)

    def fence() -> None:
        raise LeaseLost("somebody else has it")

    with pytest.raises(LeaseLost):
        telling.deliverer.deliver("ops", fence=fence)
    assert receiver.received == []


def test_an_alert_that_was_rolled_back_is_told_to_nobody(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    telling.fire()
    telling.wait()
    with pytest.raises(Conflict, match="active"):
        telling.fire()  # there is one of this monitor and kind already
    telling.wait()
    assert len(receiver.received) == 1


def test_the_end_is_told_to_whoever_heard_of_the_beginning(everywhere: Telling, receiver: Receiver) -> None:
    everywhere.set_sinks("ops", url=receiver.url)
    alert = everywhere.fire()
    everywhere.wait()
    everywhere.life.acknowledge(alert.id, actor=OWNER)
    everywhere.wait()
    everywhere.life.resolve(alert.id, actor=OWNER, note="mended")
    everywhere.wait()
    first, second = bodies(receiver)
    assert (first["occasion"], second["occasion"]) == ("firing", "resolved")
    assert second["alerts"][0]["note"] == "mended"  # type: ignore[index]


def test_a_sink_may_not_care_for_the_end(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url, more="resolved: false,")
    alert = telling.fire()
    telling.wait()
    telling.life.resolve(alert.id, actor=OWNER)
    telling.wait()
    assert len(receiver.received) == 1


def test_what_was_over_before_it_was_told_is_told_to_nobody(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    alert = telling.fire()
    telling.life.resolve(alert.id, actor=OWNER)
    telling.wait()
    assert receiver.received == []
    (delivery,) = telling.told(alert)
    assert (delivery.state, delivery.due_ms) == (DeliveryState.OBSOLETE, None)


def test_a_beginning_that_failed_is_not_told_after_the_end(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    receiver.answers[:] = [500, 200]
    alert = telling.fire()
    telling.wait()
    telling.life.resolve(alert.id, actor=OWNER)
    telling.wait(HOUR)
    assert [body["occasion"] for body in bodies(receiver)] == ["firing", "resolved"]


def test_under_a_silence_nothing_is_told_and_at_its_end_what_is_still_true(
    everywhere: Telling, receiver: Receiver
) -> None:
    everywhere.set_sinks("ops", url=receiver.url)
    silence(everywhere, monitor="watch*")
    alert = everywhere.fire()
    everywhere.wait()
    assert receiver.received == []
    assert everywhere.store.find(alert.id) == alert
    assert everywhere.told(alert)[0].state is DeliveryState.SILENCED
    everywhere.wait(HOUR)
    assert [names(body) for body in bodies(receiver)] == [["live"]]


def test_what_ends_under_a_silence_is_never_told(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    silence(telling, monitor="*")
    alert = telling.fire()
    telling.wait()
    telling.life.resolve(alert.id, actor=OWNER)
    telling.wait(2 * HOUR)
    assert receiver.received == []
    assert telling.told(alert)[0].state is DeliveryState.OBSOLETE


def test_a_silence_that_is_ended_early_lets_go_what_waited(everywhere: Telling, receiver: Receiver) -> None:
    everywhere.set_sinks("ops", url=receiver.url)
    made = silence(everywhere, 10 * HOUR, endpoint="live")
    everywhere.fire()
    everywhere.wait()
    everywhere.silences.end(made, actor=OWNER)
    everywhere.wait(0)
    assert len(receiver.received) == 1
    assert [event.kind for event in everywhere.events.all() if event.kind.startswith("silence")] == [
        "silence.set",
        "silence.ended",
    ]


def test_of_a_group_only_what_is_not_silenced_is_told(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    silence(telling, endpoint="a")
    for name in "ab":
        telling.fire("price", monitor=name, endpoint=name)
    telling.wait()
    telling.wait(HOUR)
    assert [names(body) for body in bodies(receiver)] == [["b"], ["a"]]


def test_a_reminder_comes_until_somebody_acknowledges(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url, more="repeat: 4h,")
    alert = telling.fire()
    telling.wait()
    telling.wait(4 * HOUR)
    telling.wait(4 * HOUR)
    keys = [each.headers["x-flyball-delivery-id"] for each in receiver.received]
    assert len(set(keys)) == 3
    telling.life.acknowledge(alert.id, actor=OWNER)
    telling.wait(4 * HOUR)
    telling.wait(4 * HOUR)
    assert len(receiver.received) == 3
    assert telling.told(alert)[0].due_ms is None
    assert len(telling.recorded("alert.told")) == 1


def test_a_silence_holds_reminders_back(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url, more="repeat: 1h,")
    telling.fire()
    telling.wait()
    silence(telling, 5 * HOUR, kind="data_*")
    telling.wait(HOUR)
    telling.wait(2 * HOUR)
    assert len(receiver.received) == 1
    telling.wait(2 * HOUR)
    assert len(receiver.received) == 2


def test_alertmanager_is_told_again_for_as_long_as_an_alert_is_active(telling: Telling, receiver: Receiver) -> None:
    text = f"sinks: [{{name: am, kind: alertmanager, options: {{url: '{receiver.url}', hold: 4h}}}}]\nroutes: [{{sinks: [am]}}]"
    telling.sinks.put(text, actor=OWNER)
    alert = telling.fire()
    telling.wait()
    telling.life.acknowledge(alert.id, actor=OWNER)
    telling.wait(HOUR)
    telling.life.resolve(alert.id, actor=OWNER)
    telling.wait(HOUR)
    telling.wait(HOUR)
    first, again, end = ([one["endsAt"] for one in json.loads(each.body)] for each in receiver.received)
    assert first < again
    assert end < first


def test_a_sink_that_hangs_keeps_nobody_else_waiting(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("dead", "alive", url=receiver.url)
    receiver.answers[:] = [0, 200]
    telling.fire()
    telling.clock.advance(MINUTE)
    hanging = threading.Thread(target=lambda: telling.deliverer.deliver("dead", fence=lambda: None))
    hanging.start()
    receiver.wait_for(1)
    telling.deliverer.deliver("alive", fence=lambda: None)
    assert receiver.wait_for(2)[1].path == "/alive"
    receiver.released.set()
    hanging.join(60)
    assert not hanging.is_alive()


def test_a_sink_that_is_taken_out_is_told_nothing_more(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", "chat", url=receiver.url)
    alert = telling.fire()
    telling.set_sinks("chat", url=receiver.url)
    telling.wait()
    assert [each.path for each in receiver.received] == ["/chat"]
    states = {delivery.sink: delivery.state for delivery in telling.told(alert)}
    assert states == {"ops": DeliveryState.OBSOLETE, "chat": DeliveryState.DELIVERED}


def test_a_missing_secret_is_tried_again_until_it_is_there(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    options = f"{{url: '{receiver.url}', secret_from: 'file:hook'}}"
    text = f"sinks: [{{name: ops, kind: webhook, options: {options}}}]\nroutes: [{{sinks: [ops]}}]"
    telling.sinks.put(text, actor=OWNER)
    alert = telling.fire()
    telling.wait()
    assert "file 'hook'" in telling.told(alert)[0].reason
    assert receiver.received == []


def test_routes_choose_by_what_the_alert_is_about(telling: Telling, receiver: Receiver) -> None:
    routes = "- {match: {kind: quality_drop}, sinks: [chat]}\n- {match: {feature: 'pri*'}, sinks: [ops, chat]}"
    telling.set_sinks("ops", "chat", url=receiver.url, routes=routes)
    telling.fire("volume")
    telling.fire("price", monitor="other")
    telling.fire("volume", kind=AlertKind.QUALITY_DROP)
    telling.wait()
    assert sorted(each.path for each in receiver.received) == ["/chat", "/chat", "/ops"]


def test_without_a_document_nothing_waits(telling: Telling) -> None:
    alert = telling.fire()
    assert telling.told(alert) == []
    assert telling.deliverer.waiting() == []


def test_the_state_of_an_alert_at_the_time_of_telling_is_told(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    alert = telling.fire()
    telling.store.update(replace(alert, state=AlertState.ACKNOWLEDGED), expected=AlertState.FIRING)
    telling.wait()
    assert bodies(receiver)[0]["alerts"][0]["state"] == "acknowledged"  # type: ignore[index]
