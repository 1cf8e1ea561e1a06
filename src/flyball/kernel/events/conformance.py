"""The promises of the event store; a store passes by subclassing, with a fresh `store` as a fixture."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events.entities import GENESIS, Draft, Edge, Event, Ref, Verification, ref
from flyball.kernel.events.ports import EventStore
from flyball.kernel.events.service import EventLog, verify_chain

RUN, OTHER, DATA, MODEL = ref("run", "r1"), ref("run", "r2"), ref("dataset-version", "d/1"), ref("model", "m")
USED = Edge(subject=RUN, relation="used", object=DATA)
MADE = Edge(subject=MODEL, relation="made-by", object=RUN)
OTHER_USED = Edge(subject=OTHER, relation="used", object=DATA)
WRITERS, EACH = 8, 25


def draft(
    *edges: Edge, subject: Ref = RUN, kind: str = "run.created", payload: Mapping[str, JsonValue] | None = None
) -> Draft:
    """Return a draft; what a test does not care about has a default."""
    return Draft(
        time_ms=1_700_000_000_000,
        actor="user:ada",
        kind=kind,
        project="default",
        subject=subject,
        payload={} if payload is None else payload,
        edges=edges,
    )


def verify(store: EventStore) -> Verification:
    """Check everything a store holds."""
    return EventLog(store, ManualClock()).verify()


class EventStoreConformance:
    """What every event store promises."""

    def test_an_empty_log_has_no_head_and_is_intact(self, store: EventStore) -> None:
        assert store.head() is None
        assert store.read(after=0, limit=10) == []
        assert verify(store) == Verification(intact=True, count=0, head=GENESIS)

    def test_events_are_chained_without_gaps(self, store: EventStore) -> None:
        first, second = store.append(draft()), store.append(draft())
        assert [(event.seq, event.previous) for event in (first, second)] == [(1, GENESIS), (2, first.digest)]
        assert store.head() == second

    def test_an_event_comes_back_as_it_was_appended(self, store: EventStore) -> None:
        appended = store.append(draft(USED, MADE, payload={"n": 1, "x": 0.1, "text": "é\0\U0001f600", "list": [None]}))
        assert store.read(after=0, limit=1) == [appended]
        assert appended.edges == (USED, MADE)
        assert verify(store).intact

    def test_large_floats_come_back_and_verify(self, store: EventStore) -> None:
        appended = store.append(draft(payload={"loss": 1e20, "count": 2.0**60, "small": 5e-324}))
        assert store.read(after=0, limit=1) == [appended]
        assert verify(store).intact

    def test_what_the_caller_changes_afterwards_changes_nothing(self, store: EventStore) -> None:
        inner: list[JsonValue] = [1]
        store.append(draft(payload={"list": inner}))
        inner.append(2)
        read = store.read(after=0, limit=1)[0]
        assert read.payload == {"list": [1]}
        read.payload["list"].append(3)  # type: ignore[union-attr]
        assert store.read(after=0, limit=1)[0].payload == {"list": [1]}
        assert verify(store).intact

    @pytest.mark.parametrize("payload", [{"x": float("nan")}, {"n": 2**60}, {"b": b""}, {"s": "\ud800"}])
    def test_a_payload_without_canonical_form_is_refused_and_leaves_no_gap(
        self, store: EventStore, payload: Mapping[str, JsonValue]
    ) -> None:
        with pytest.raises(InvalidInput, match="no canonical JSON form"):
            store.append(draft(payload=payload))
        assert store.append(draft()).seq == 1

    def test_a_name_that_a_database_cannot_keep_is_refused(self, store: EventStore) -> None:
        with pytest.raises(InvalidInput, match="NUL"):
            store.append(draft(subject=ref("run", "a\0b")))
        with pytest.raises(InvalidInput, match="NUL"):
            store.append(draft(Edge(subject=RUN, relation="used", object=ref("data", "\0"))))
        assert store.head() is None

    def test_reading_goes_on_after_a_sequence_number_oldest_first(self, store: EventStore) -> None:
        events = [store.append(draft()) for _ in range(5)]
        assert store.read(after=1, limit=2) == events[1:3]
        assert store.read(after=5, limit=2) == []

    def test_reading_is_narrowed_by_subject_and_kind(self, store: EventStore) -> None:
        first, second = store.append(draft()), store.append(draft(subject=OTHER, kind="run.ended"))
        third = store.append(draft(kind="run.ended"))
        assert store.read(after=0, limit=10, subject=RUN) == [first, third]
        assert store.read(after=0, limit=10, kind="run.ended") == [second, third]
        assert store.read(after=0, limit=10, subject=RUN, kind="run.ended") == [third]

    def test_edges_are_found_from_both_ends_oldest_first(self, store: EventStore) -> None:
        store.append(draft(USED))
        store.append(draft(MADE, OTHER_USED))
        assert store.edges_from(RUN) == [USED]
        assert store.edges_to(DATA) == [USED, OTHER_USED]
        assert store.edges_to(RUN) == [MADE]
        assert store.edges_from(ref("run", "unknown")) == []

    def test_all_edges_come_with_their_events_whole_events_only(self, store: EventStore) -> None:
        store.append(draft(USED, MADE))
        store.append(draft())
        store.append(draft(OTHER_USED))
        assert store.all_edges(after=0, limit=1) == [(1, USED), (1, MADE)]
        assert store.all_edges(after=1, limit=2) == [(3, OTHER_USED)]
        assert store.all_edges(after=0, limit=10) == [(1, USED), (1, MADE), (3, OTHER_USED)]

    def test_links_come_newest_event_first_and_are_narrowed(self, store: EventStore) -> None:
        store.append(draft(USED, MADE))
        store.append(draft(OTHER_USED))
        store.append(draft(USED))
        assert store.links(limit=10) == [(3, USED), (2, OTHER_USED), (1, USED), (1, MADE)]
        assert store.links(subject=RUN, limit=1) == [(3, USED)]
        assert store.links(target=DATA, up_to=2, limit=10) == [(2, OTHER_USED), (1, USED)]
        assert store.links(target=DATA, relation="made-by", limit=10) == []
        assert store.links(relation="made-by", limit=10) == [(1, MADE)]
        assert store.links(up_to=0, limit=10) == []

    def test_no_edge_strays_in_a_sound_log(self, store: EventStore) -> None:
        store.append(draft(USED, MADE))
        store.append(draft())
        assert store.find_stray_edge() is None

    def test_many_threads_append_to_one_gapless_chain(self, store: EventStore) -> None:
        appended: list[list[Event]] = [[] for _ in range(WRITERS)]

        def write(mine: list[Event]) -> None:
            mine.extend(store.append(draft(USED)) for _ in range(EACH))

        threads = [threading.Thread(target=write, args=(mine,)) for mine in appended]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        every = sorted((event for mine in appended for event in mine), key=lambda event: event.seq)
        assert [event.seq for event in every] == list(range(1, WRITERS * EACH + 1))
        assert store.read(after=0, limit=WRITERS * EACH + 1) == every
        assert verify(store).count == WRITERS * EACH

    def test_the_chain_is_checked_in_pages(self, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flyball.kernel.events.service.PAGE", 2)
        for _ in range(5):
            store.append(draft(USED))
        assert verify(store).count == 5
        assert verify_chain(EventLog(store, ManualClock()).all()).intact
