"""The promises of the ports of sinks, as pytest classes; an implementation passes its class, or is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from flyball.kernel.canonical import Digest
from flyball.kernel.errors import FlyballError
from flyball.kernel.ids import new_id
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import Alert, AlertKind, AlertState, Cause
from flyball.monitoring.sinks.entities import Delivery, DeliveryState, Notice
from flyball.monitoring.sinks.ports import Sink
from flyball.monitoring.sinks.sql import SqlDeliveryStore

URL = "http://flyball.example"


def an_alert(feature: str = "x", **changes: object) -> Alert:
    """Make an alert about one feature."""
    made = Alert(
        id=new_id(),
        monitor="watch",
        endpoint="live",
        model="model",
        version=3,
        kind=AlertKind.DATA_FAULT,
        state=AlertState.FIRING,
        start_ms=0,
        end_ms=86_400_000,
        causes=(Cause(feature=feature, kind="missing", score=600.0, detail="60% of <the> values & more are missing"),),
        report_digest=Digest("ab" * 32),
        created_ms=1_700_000_000_000,
        updated_ms=1_700_000_000_000,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def a_notice(*alerts: Alert, occasion: Occasion = Occasion.FIRING, key: str = "k1") -> Notice:
    """Make a notice."""
    return Notice(key=key, occasion=occasion, alerts=alerts or (an_alert(),), server_url=URL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A receiver as a test sees it: what it heard as text, and how to make it refuse."""

    texts: Callable[[], list[str]]
    refuse: Callable[[], None]


class SinkConformance:
    """What every sink promises. Derive, and give the fixtures `sink` and `heard` (the receiver that the sink is made for)."""

    def test_a_notice_arrives_and_says_which_endpoint_and_feature(self, sink: Sink, heard: Heard) -> None:
        sink.send(a_notice(an_alert("price")))
        (text,) = heard.texts()
        assert "live" in text
        assert "price" in text

    def test_many_alerts_are_one_message(self, sink: Sink, heard: Heard) -> None:
        sink.send(a_notice(an_alert("price"), an_alert("volume", endpoint="other")))
        (text,) = heard.texts()
        assert "price" in text
        assert "volume" in text
        assert "other" in text

    def test_an_alert_without_causes_version_or_window_can_be_told(self, sink: Sink, heard: Heard) -> None:
        sink.send(a_notice(an_alert(causes=(), version=None, end_ms=0)))
        assert len(heard.texts()) == 1

    def test_the_end_of_an_alert_is_told(self, sink: Sink, heard: Heard) -> None:
        ended = an_alert(state=AlertState.RESOLVED, updated_ms=1_700_000_060_000)
        sink.send(a_notice(ended, occasion=Occasion.RESOLVED))
        assert len(heard.texts()) == 1

    def test_names_with_line_breaks_and_markup_stay_within_their_place(self, sink: Sink, heard: Heard) -> None:
        sink.send(a_notice(an_alert("a\r\nBcc: all@example.com <!channel>")))
        (text,) = heard.texts()
        assert "\nBcc: all@example.com" not in text.split("\n\n", maxsplit=1)[0]

    def test_a_refusal_is_an_error_that_says_why(self, sink: Sink, heard: Heard) -> None:
        heard.refuse()
        with pytest.raises(FlyballError) as refused:
            sink.send(a_notice())
        assert "50" in refused.value.message or "45" in refused.value.message
        assert not heard.texts()

    def test_it_says_how_long_its_receiver_remembers(self, sink: Sink) -> None:
        assert sink.hold_ms >= 0


def a_delivery(sink: str = "ops", *, group: str = "g", due_ms: int | None = 10, **changes: object) -> Delivery:
    """Make a delivery."""
    made = Delivery(
        id=new_id(), sink=sink, group=group, occasion=Occasion.FIRING, due_ms=due_ms, created_ms=1, updated_ms=1
    )
    return replace(made, **changes)  # type: ignore[arg-type]


class DeliveryStoreConformance:
    """What every store of deliveries promises. Derive, and give a fixture `store`."""

    def test_deliveries_are_due_oldest_first_and_by_sink(self, store: SqlDeliveryStore) -> None:
        first, second, other = a_delivery(), a_delivery(group="h"), a_delivery("chat", due_ms=5)
        for each in (first, second, other, a_delivery(due_ms=None), a_delivery(due_ms=99)):
            store.add(each, ["a"])
        assert store.due("ops", now_ms=10, limit=9) == [first, second]
        assert store.due("ops", now_ms=10, limit=1) == [first]
        assert store.due("ops", now_ms=9, limit=9) == []
        assert store.waiting(now_ms=10) == ["chat", "ops"]

    def test_an_alert_joins_its_group_until_the_first_attempt(self, store: SqlDeliveryStore) -> None:
        first = a_delivery()
        store.add(first, ["a"])
        assert store.join("ops", "g", Occasion.FIRING, alert="b")
        assert store.join("ops", "g", Occasion.FIRING, alert="b")
        assert store.alerts(first.id) == ["a", "b"]
        assert not store.join("ops", "h", Occasion.FIRING, alert="c")
        assert not store.join("chat", "g", Occasion.FIRING, alert="c")
        assert not store.join("ops", "g", Occasion.RESOLVED, alert="c")
        store.save(replace(first, attempts=1))
        assert not store.join("ops", "g", Occasion.FIRING, alert="c")

    def test_an_alert_leaves(self, store: SqlDeliveryStore) -> None:
        first = a_delivery()
        store.add(first, ["a", "b"])
        store.leave(first.id, ["a"])
        assert store.alerts(first.id) == ["b"]

    def test_deliveries_are_found_by_their_alerts_and_their_sink(self, store: SqlDeliveryStore) -> None:
        first, second = a_delivery(), a_delivery(group="h")
        store.add(first, ["a", "b"])
        store.add(second, ["b"])
        assert store.of_alerts(["a", "b", "c"]) == {"a": [first], "b": [first, second]}
        assert store.newest("ops", limit=1) == [second]

    def test_the_end_of_a_silence_makes_what_waits_for_it_due(self, store: SqlDeliveryStore) -> None:
        silenced, later = a_delivery(due_ms=99, state=DeliveryState.SILENCED), a_delivery(group="h", due_ms=99)
        store.add(silenced, ["a"])
        store.add(later, ["b"])
        store.release(now_ms=10)
        assert [each.id for each in store.due("ops", now_ms=10, limit=9)] == [silenced.id]

    def test_what_waits_for_a_sink_that_is_gone_is_ended(self, store: SqlDeliveryStore) -> None:
        gone, told = a_delivery("gone"), a_delivery("gone", group="h", state=DeliveryState.DELIVERED)
        for each in (gone, told, a_delivery()):
            store.add(each, ["a"])
        assert store.forsake(kept=["ops"], reason="taken out", now_ms=7) == 1
        ended = replace(gone, state=DeliveryState.OBSOLETE, due_ms=None, reason="taken out", updated_ms=7)
        assert list(store.newest("gone", limit=9)) == [replace(told, due_ms=None), ended]
        assert store.waiting(now_ms=10) == ["ops"]

    def test_what_ended_long_ago_is_removed_oldest_first(self, store: SqlDeliveryStore) -> None:
        first, second = (a_delivery(due_ms=None, updated_ms=at) for at in (10, 20))
        waiting, late = a_delivery(due_ms=5, updated_ms=10), a_delivery(due_ms=None, updated_ms=30)
        for delivery in (second, first, waiting, late):
            store.add(delivery, ["a" * 32])
        assert store.remove_ended(before_ms=30, limit=1) == 1
        assert store.of_alerts(["a" * 32]) == {"a" * 32: sorted([second, waiting, late], key=lambda one: one.id)}
        assert store.remove_ended(before_ms=30, limit=9) == 1
        assert store.of_alerts(["a" * 32]) == {"a" * 32: sorted([waiting, late], key=lambda one: one.id)}
