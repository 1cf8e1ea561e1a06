"""Databases full of rows that are hard to carry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.migrations import history

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.events import EventKind, EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.server import migrations

POINTS = 6_000

UrlOf = Callable[[str], str]


class Told(EventKind):
    DONE = "told.done"


def fill(database: Database) -> None:
    """Put in every table's rows, many points of a metric, and events enough for several pages."""
    migrations.upgrade(database)
    history.insert(database, history.rows_at(migrations.newest()))
    log = EventLog(SqlEventStore(database), ManualClock())
    statement = text("INSERT INTO metric_points VALUES (9, :t, 3, :v, :n)")
    with database.transaction() as connection:
        if database.dialect == "postgresql":  # rows with numbers of their own do not move its counters
            for table, column in (("experiments", "experiment_id"), ("metric_series", "series_id")):
                counted = f"setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table}))"
                connection.execute(text(f"SELECT {counted}"))
        connection.execute(statement, [{"t": t, "v": t / 7, "n": False} for t in range(POINTS)])
        connection.execute(statement, {"t": POINTS, "v": -0.0, "n": False})
        for number in range(50):
            log.record(Told.DONE, actor="user:ann", subject=ref("thing", str(number)), payload={"n": number})


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> UrlOf:
    """Return the URL of an empty database of a kind; `sqlite-2` is a second one of the kind."""

    def url(kind: str) -> str:
        if kind.startswith("sqlite"):
            return f"sqlite:///{tmp_path / kind}.db"
        return str(request.getfixturevalue("postgres_url"))

    return url


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    with contextlib.ExitStack() as stack:
        yield lambda url: stack.enter_context(contextlib.closing(open_database(url)))
