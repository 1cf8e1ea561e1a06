"""One moment of this installation, as an export reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from sqlalchemy import Connection, select

from flyball.kernel.canonical import Digest, JsonValue, parse_json
from flyball.kernel.db import Database
from flyball.kernel.events import Edge, Event, Ref
from flyball.kernel.events.tables import events
from flyball.transfer.sql.exported import BATCH, EXPORTED, ExportedTable, count_left_out, read_digests, read_table
from flyball.transfer.sql.snapshot import snapshot


class Moment:
    """Rows that belong together, whoever writes meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tables(self) -> Iterator[tuple[ExportedTable, Iterator[list[tuple[object, ...]]]]]:
        """Yield every table of the export with its rows in batches."""
        for exported in EXPORTED:
            yield exported, read_table(self._connection, exported)

    def events(self) -> Iterator[Event]:
        """Yield the chain, oldest first."""
        query = select(events).order_by(events.c.seq).execution_options(yield_per=BATCH)
        with self._connection.execute(query) as result:
            for row in result:
                linked = cast("list[list[str]]", json.loads(row.edges))
                yield Event(
                    seq=row.seq,
                    time_ms=row.time_ms,
                    actor=row.actor,
                    kind=row.kind,
                    project=row.project,
                    subject=Ref(row.subject),
                    payload=cast("dict[str, JsonValue]", parse_json(row.payload)),
                    edges=tuple(Edge(subject=Ref(s), relation=r, object=Ref(o)) for s, r, o in linked),
                    previous=Digest(row.previous),
                    digest=Digest(row.digest),
                )

    def digests(self) -> Iterator[list[str]]:
        """Yield the digests of the blobs that belong to the export, in batches."""
        return read_digests(self._connection)

    def left_out(self) -> dict[str, int]:
        """Count what is not in the export, by table."""
        return count_left_out(self._connection)


@contextmanager
def open_moment(database: Database) -> Iterator[Moment]:
    """Hold one moment of a database."""
    with snapshot(database.engine) as connection:
        yield Moment(connection)
