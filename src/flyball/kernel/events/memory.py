"""The event log in memory: the specification, and the double for tests."""

from __future__ import annotations

import threading

from flyball.kernel.canonical import canonical_json
from flyball.kernel.events.entities import GENESIS, Draft, Edge, Event, Ref, chain


class MemoryEventStore:
    """A list under a lock."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def append(self, draft: Draft) -> Event:
        canonical_json(dict(draft.payload))
        with self._lock:
            previous = self._events[-1].digest if self._events else GENESIS
            event = chain(draft, seq=len(self._events) + 1, previous=previous)
            self._events.append(event)
            return event

    def read(self, *, after: int, limit: int, subject: Ref | None = None, kind: str | None = None) -> list[Event]:
        wanted = [
            event
            for event in self._events[after:]
            if (subject is None or event.subject == subject) and (kind is None or event.kind == kind)
        ]
        return wanted[:limit]

    def head(self) -> Event | None:
        return self._events[-1] if self._events else None

    def edges_from(self, subject: Ref) -> list[Edge]:
        return [edge for event in self._events for edge in event.edges if edge.subject == subject]

    def edges_to(self, target: Ref) -> list[Edge]:
        return [edge for event in self._events for edge in event.edges if edge.object == target]

    def all_edges(self, *, after: int, limit: int) -> list[tuple[int, Edge]]:
        return [(event.seq, edge) for event in self._events[after : after + limit] for edge in event.edges]
