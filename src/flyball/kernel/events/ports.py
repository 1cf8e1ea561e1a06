"""The port of the event log."""

from __future__ import annotations

from typing import Protocol

from flyball.kernel.events.entities import Draft, Edge, Event, Ref


class EventStore(Protocol):
    """Keep events in one gapless chain.

    Threads and processes: any number may append; the chain orders them. Atomicity: `append` joins the transaction that
    the calling thread is in, so the event exists exactly when the change does. Copies: what is returned is immutable.
    """

    def append(self, draft: Draft) -> Event:
        """Chain an event.

        Raises:
            InvalidInput: the payload has no canonical JSON form.
        """
        ...

    def read(self, *, after: int, limit: int, subject: Ref | None = None, kind: str | None = None) -> list[Event]:
        """Return events with a sequence number above `after`, oldest first, at most `limit`."""
        ...

    def head(self) -> Event | None:
        """Return the newest event, None in an empty log."""
        ...

    def edges_from(self, subject: Ref) -> list[Edge]:
        """Return the edges that leave a thing, oldest first."""
        ...

    def edges_to(self, target: Ref) -> list[Edge]:
        """Return the edges that arrive at a thing, oldest first."""
        ...

    def all_edges(self, *, after: int, limit: int) -> list[tuple[int, Edge]]:
        """Return (sequence number of the event, edge) above `after` in order of the events, whole events only."""
        ...

    def links(
        self,
        *,
        subject: Ref | None = None,
        target: Ref | None = None,
        relation: str | None = None,
        up_to: int | None = None,
        limit: int,
    ) -> list[tuple[int, Edge]]:
        """Return (sequence number of the event, edge), newest event first, at most `limit`, of events not after `up_to`."""
        ...

    def find_stray_edge(self) -> int | None:
        """Return the lowest sequence number at which an edge is kept that no event carries, None when there is none."""
        ...
