"""The event log in memory: the specification, and the double for tests."""

from __future__ import annotations

import dataclasses
import threading

from flyball.kernel.events.entities import GENESIS, Draft, Edge, Event, Ref, chain, copy_payload


class MemoryEventStore:
    """A list under a lock."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def append(self, draft: Draft) -> Event:
        with self._lock:
            previous = self._events[-1].digest if self._events else GENESIS
            event = chain(draft, seq=len(self._events) + 1, previous=previous)
            self._events.append(event)
            return _copy(event)

    def read(self, *, after: int, limit: int, subject: Ref | None = None, kind: str | None = None) -> list[Event]:
        wanted = [
            event
            for event in self._events[max(after, 0) :]
            if (subject is None or event.subject == subject) and (kind is None or event.kind == kind)
        ]
        return [_copy(event) for event in wanted[:limit]]

    def head(self) -> Event | None:
        return _copy(self._events[-1]) if self._events else None

    def edges_from(self, subject: Ref) -> list[Edge]:
        return [edge for event in self._events for edge in event.edges if edge.subject == subject]

    def edges_to(self, target: Ref) -> list[Edge]:
        return [edge for event in self._events for edge in event.edges if edge.object == target]

    def all_edges(self, *, after: int, limit: int) -> list[tuple[int, Edge]]:
        return [(event.seq, edge) for event in self._page(after, limit) for edge in event.edges]

    def _page(self, after: int, limit: int) -> list[Event]:
        start = max(after, 0)
        return self._events[start : start + limit]

    def links(
        self,
        *,
        subject: Ref | None = None,
        target: Ref | None = None,
        relation: str | None = None,
        up_to: int | None = None,
        limit: int,
    ) -> list[tuple[int, Edge]]:
        newest_first = [(event.seq, edge) for event in reversed(self._events[:up_to]) for edge in event.edges]
        wanted = [
            (seq, edge)
            for seq, edge in newest_first
            if (subject is None or edge.subject == subject)
            and (target is None or edge.object == target)
            and (relation is None or edge.relation == relation)
        ]
        return wanted[:limit]

    def find_stray_edge(self) -> int | None:
        return None  # the edges are those of the events: there is no second copy that could differ


def _copy(event: Event) -> Event:
    return dataclasses.replace(event, payload=copy_payload(event.payload))
