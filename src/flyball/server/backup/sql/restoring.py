"""Fill a PostgreSQL database from a snapshot, in one transaction: the old rows are there until all the new ones are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect

from flyball.kernel.db import Database, open_database, translate_faults
from flyball.kernel.errors import Conflict, Corrupted
from flyball.server import migrations
from flyball.server.backup.checksums import sum_tables
from flyball.server.backup.copying import copy_rows
from flyball.server.backup.entities import Manifest
from flyball.server.backup.sql.side import Side
from flyball.server.backup.sql.snapshot import joined, open_frozen_side


def has_tables(url: str) -> bool:
    """Tell whether a database holds any table."""
    with closing(open_database(url)) as database, database.read() as connection:
        return bool(inspect(connection).get_table_names())


def fill_postgres(
    target: Database, snapshot: Path, manifest: Manifest, *, replace: bool, finish: Callable[[Database], None]
) -> None:
    """Make the schema of the snapshot's revision, put its rows in, and compare them with the manifest.

    `finish` writes into the same transaction.

    Raises:
        Conflict: the tables that are there are another program's.
        Corrupted: a table differs; nothing was changed.
    """
    with translate_faults(), open_frozen_side(snapshot) as source, target.engine.begin() as connection:
        if replace:
            _drop_tables(connection)
        migrations.upgrade_on(connection, manifest.revision)
        side = Side(connection)
        copy_rows(source, side)
        found = sum_tables(side)
        different = [name for name in manifest.tables if found.get(name) != manifest.tables[name]]
        if different:
            raise Corrupted(f"table '{different[0]}' did not arrive as it is in the backup; nothing was changed")
        finish(joined(connection))


def _drop_tables(connection: Connection) -> None:
    names = inspect(connection).get_table_names()
    if not names:
        return
    if migrations.revision_on(connection) is None:
        raise Conflict(
            "the tables in this database are another program's; name a database of its own", field="database_url"
        )
    quote = connection.dialect.identifier_preparer.quote
    connection.exec_driver_sql(f"DROP TABLE {', '.join(map(quote, names))} CASCADE")
