"""The event log on a database."""

from __future__ import annotations

import json
from typing import cast

from sqlalchemy import Connection, Row, Select, insert, select, text

from flyball.kernel.canonical import Digest, canonical_json
from flyball.kernel.db import Database
from flyball.kernel.events.entities import GENESIS, Draft, Edge, Event, Ref, chain
from flyball.kernel.events.tables import edges, events

# Any constant serves, as long as nobody else in this database takes the same advisory lock.
CHAIN_LOCK = 7_235_001


class SqlEventStore:
    """The chain as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, draft: Draft) -> Event:
        with self._database.transaction() as connection:
            self._lock_chain(connection)
            last = connection.execute(
                select(events.c.seq, events.c.digest).order_by(events.c.seq.desc()).limit(1)
            ).first()
            seq, previous = (last.seq + 1, Digest(last.digest)) if last else (1, GENESIS)
            event = chain(draft, seq=seq, previous=previous)
            connection.execute(insert(events), _row(event))
            if event.edges:
                connection.execute(insert(edges), _edge_rows(event))
            return event

    def read(self, *, after: int, limit: int, subject: Ref | None = None, kind: str | None = None) -> list[Event]:
        query = select(events).where(events.c.seq > after).order_by(events.c.seq).limit(limit)
        if subject is not None:
            query = query.where(events.c.subject == subject)
        if kind is not None:
            query = query.where(events.c.kind == kind)
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(query)]

    def head(self) -> Event | None:
        with self._database.read() as connection:
            row = connection.execute(select(events).order_by(events.c.seq.desc()).limit(1)).first()
        return _event(row) if row else None

    def edges_from(self, subject: Ref) -> list[Edge]:
        return self._edges(select(edges).where(edges.c.subject == subject))

    def edges_to(self, target: Ref) -> list[Edge]:
        return self._edges(select(edges).where(edges.c.object == target))

    def all_edges(self, *, after: int, limit: int) -> list[tuple[int, Edge]]:
        last = select(events.c.seq).where(events.c.seq > after).order_by(events.c.seq).limit(limit).subquery()
        query = select(edges).where(edges.c.seq.in_(select(last.c.seq))).order_by(edges.c.seq, edges.c.position)
        with self._database.read() as connection:
            return [(row.seq, _edge(row)) for row in connection.execute(query)]

    def _edges(self, query: Select[tuple[object, ...]]) -> list[Edge]:
        with self._database.read() as connection:
            return [_edge(row) for row in connection.execute(query.order_by(edges.c.seq, edges.c.position))]

    def _lock_chain(self, connection: Connection) -> None:
        # SQLite has one writer at a time anyway; PostgreSQL holds this lock until the transaction ends.
        if self._database.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})


def _row(event: Event) -> dict[str, object]:
    row = event.content() | {"digest": event.digest}
    row["payload"] = canonical_json(event.payload).decode()
    row["edges"] = canonical_json(event.content()["edges"]).decode()
    return cast("dict[str, object]", row)


def _edge_rows(event: Event) -> list[dict[str, object]]:
    return [
        {
            "seq": event.seq,
            "position": position,
            "subject": edge.subject,
            "relation": edge.relation,
            "object": edge.object,
        }
        for position, edge in enumerate(event.edges)
    ]


def _edge(row: Row[tuple[object, ...]]) -> Edge:
    return Edge(subject=Ref(row.subject), relation=row.relation, object=Ref(row.object))


def _event(row: Row[tuple[object, ...]]) -> Event:
    return Event(
        seq=row.seq,
        time_ms=row.time_ms,
        actor=row.actor,
        kind=row.kind,
        project=row.project,
        subject=Ref(row.subject),
        payload=json.loads(row.payload),
        edges=tuple(Edge(subject=Ref(s), relation=r, object=Ref(o)) for s, r, o in json.loads(row.edges)),
        previous=Digest(row.previous),
        digest=Digest(row.digest),
    )
