"""The event log on a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, Row, Select, func, or_, select
from sqlalchemy.exc import OperationalError

from flyball.kernel.canonical import Digest, JsonValue, canonical_json, parse_json
from flyball.kernel.db import Database, run_text
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events.entities import GENESIS, Draft, Edge, Event, Ref, chain
from flyball.kernel.events.tables import edges, events

# Any constant serves, as long as nobody else in this database takes the same advisory lock.
CHAIN_LOCK = 7_235_001
# What stands in the place of a column whose text was damaged: it has another digest, so a verification names the event.
UNREADABLE = "unreadable"
# Nearly every change appends an event; built anew, these statements would cost more than all else that is done for it.
_LAST = "SELECT seq, digest FROM events ORDER BY seq DESC LIMIT 1"
_INSERT = (
    "INSERT INTO events (seq, time_ms, actor, kind, project, subject, payload, edges, previous, digest) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_EDGE = "INSERT INTO edges (seq, position, subject, relation, object) VALUES (?, ?, ?, ?, ?)"


class SqlEventStore:
    """The chain as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, draft: Draft) -> Event:
        with self._database.transaction() as connection:
            self._lock_chain(connection)
            last = run_text(connection, _LAST).fetchone()
            seq, previous = (last[0] + 1, Digest(last[1])) if last else (1, GENESIS)
            event = chain(draft, seq=seq, previous=previous)
            run_text(connection, _INSERT, _row(event))
            for position, edge in enumerate(event.edges):
                run_text(connection, _INSERT_EDGE, [seq, position, edge.subject, edge.relation, edge.object])
            return event

    def read(self, *, after: int, limit: int, subject: Ref | None = None, kind: str | None = None) -> list[Event]:
        query = select(events).where(events.c.seq > after).order_by(events.c.seq).limit(limit)
        if subject is not None:
            query = query.where(events.c.subject == subject)
        if kind is not None:
            query = query.where(events.c.kind == kind)
        return [_event(row) for row in self._rows(query)]

    def head(self) -> Event | None:
        rows = self._rows(select(events).order_by(events.c.seq.desc()).limit(1))
        return _event(rows[0]) if rows else None

    def edges_from(self, subject: Ref) -> list[Edge]:
        return self._edges(select(edges).where(edges.c.subject == subject))

    def edges_to(self, target: Ref) -> list[Edge]:
        return self._edges(select(edges).where(edges.c.object == target))

    def all_edges(self, *, after: int, limit: int) -> list[tuple[int, Edge]]:
        page = select(events.c.seq).where(events.c.seq > after).order_by(events.c.seq).limit(limit).subquery()
        query = select(edges).where(edges.c.seq.in_(select(page.c.seq))).order_by(edges.c.seq, edges.c.position)
        return [(row.seq, _edge(row)) for row in self._rows(query)]

    def links(
        self,
        *,
        subject: Ref | None = None,
        target: Ref | None = None,
        relation: str | None = None,
        up_to: int | None = None,
        limit: int,
    ) -> list[tuple[int, Edge]]:
        query = select(edges).order_by(edges.c.seq.desc(), edges.c.position).limit(limit)
        if subject is not None:
            query = query.where(edges.c.subject == subject)
        if target is not None:
            query = query.where(edges.c.object == target)
        if relation is not None:
            query = query.where(edges.c.relation == relation)
        if up_to is not None:
            query = query.where(edges.c.seq <= up_to)
        return [(row.seq, _edge(row)) for row in self._rows(query)]

    def find_stray_edge(self) -> int | None:
        carried = select(events.c.seq).where(events.c.seq == edges.c.seq).exists()
        unowned = select(edges.c.seq).where(~carried).order_by(edges.c.seq).limit(1)
        # Positions are 0..n-1; as they are unique in an event, it is enough to look at their ends.
        ends = or_(func.min(edges.c.position) != 0, func.max(edges.c.position) != func.count() - 1)
        displaced = select(edges.c.seq).group_by(edges.c.seq).having(ends).order_by(edges.c.seq).limit(1)
        with self._database.read() as connection:
            found = [connection.execute(query).scalar() for query in (unowned, displaced)]
        return min((int(seq) for seq in found if seq is not None), default=None)

    def _edges(self, query: Select[tuple[object, ...]]) -> list[Edge]:
        return [_edge(row) for row in self._rows(query.order_by(edges.c.seq, edges.c.position))]

    def _rows(self, query: Select[tuple[object, ...]]) -> Sequence[Row[tuple[object, ...]]]:
        with self._database.read() as connection:
            try:
                return connection.execute(query).all()
            except OperationalError as error:
                if "could not decode" not in str(error.orig).lower():
                    raise
                return _damaged_rows(connection, query)

    def _lock_chain(self, connection: Connection) -> None:
        # SQLite has one writer at a time anyway; PostgreSQL holds this lock until the transaction ends.
        if self._database.dialect == "postgresql":
            run_text(connection, "SELECT pg_advisory_xact_lock(?)", [CHAIN_LOCK])


def _damaged_rows(connection: Connection, query: Select[tuple[object, ...]]) -> Sequence[Row[tuple[object, ...]]]:
    """Read rows of which some text is no UTF-8 any more, so that a verification can name them."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.text_factory = _decode_leniently
    try:
        return connection.execute(query).all()
    finally:
        driver.text_factory = str


def _decode_leniently(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _row(event: Event) -> list[object]:
    return [
        event.seq,
        event.time_ms,
        event.actor,
        event.kind,
        event.project,
        event.subject,
        canonical_json(dict(event.payload)).decode(),
        canonical_json(event.content()["edges"]).decode(),
        event.previous,
        event.digest,
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
        payload=_read_payload(row.payload),
        edges=_read_edges(row.edges),
        previous=Digest(row.previous),
        digest=Digest(row.digest),
    )


def _read_payload(kept: str) -> dict[str, JsonValue]:
    value = _read_canonical(kept)
    return value if isinstance(value, dict) else {UNREADABLE: str(kept)}


def _read_edges(kept: str) -> tuple[Edge, ...]:
    value = _read_canonical(kept)
    try:
        return tuple(Edge(subject=Ref(s), relation=r, object=Ref(o)) for s, r, o in cast("list[list[str]]", value))
    except (TypeError, ValueError):
        return (Edge(subject=Ref(str(kept)), relation=UNREADABLE, object=Ref("")),)


def _read_canonical(kept: str) -> JsonValue:
    """Return the value, None where the text is not exactly what was written: one space too many is an edit as well."""
    try:
        value = parse_json(kept)
        return value if canonical_json(value) == kept.encode() else None
    except (InvalidInput, TypeError, AttributeError, UnicodeEncodeError):
        return None
