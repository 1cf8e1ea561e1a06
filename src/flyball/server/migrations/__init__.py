"""The schema of the database: one Alembic history, made and brought up to date from here.

Each process asks at its start which revision the database is at. Alembic is imported only where something is changed: it
takes longer to import than everything else that `flyball up` does before it starts its children.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.server.migrations.transaction import schema_transaction

FOLDER = Path(__file__).parent
_VERSION_TABLE = "alembic_version"
UNFINISHED = "flyball_unfinished_move"
"""The table in which a move into a database keeps how far it came; while it is there, the database is not whole."""
BOOKKEEPING = frozenset({_VERSION_TABLE, UNFINISHED})
"""Tables that are not part of the schema."""


def upgrade(database: Database, revision: str = "head", *, finish: Callable[[Connection], None] | None = None) -> None:
    """Bring the schema to a revision, the newest if not said otherwise, in one transaction: all of it, or nothing.

    `finish` is called at the end of that transaction, for what must be kept together with the new schema.

    Raises:
        Conflict: the database has tables of somebody else.
        Corrupted: a row points at one that is not there; nothing was changed.
    """
    if current(database) is None and (tables := inspect(database.engine).get_table_names()):
        raise Conflict(
            f"the database has tables ({', '.join(sorted(tables)[:3])}) and no revision of ours: it is another program's; "
            "set FLYBALL_DATABASE_URL to an empty one",
            field="database_url",
        )
    with schema_transaction(database) as connection:
        upgrade_on(connection, revision)
        if finish is not None:
            finish(connection)


def upgrade_on(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to a revision inside of the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(FOLDER))
    configuration.set_main_option("path_separator", "os")
    if not connection.in_transaction():
        connection.begin()  # so that Alembic leaves beginning and committing to the caller
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, revision)


def current(database: Database) -> str | None:
    """Return the revision the schema is at, None for a database without one."""
    with database.read() as connection:
        return revision_on(connection)


def revision_on(connection: Connection) -> str | None:
    """Return the revision as one connection sees it."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(_VERSION_TABLE))).scalar()


def revisions() -> list[str]:
    """Return every revision of this release, oldest first: the numbers that the files of the history begin with."""
    return sorted(path.name.split("_", 1)[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py"))


def newest() -> str:
    """Return the newest revision of this release."""
    return revisions()[-1]


def require_newest(database: Database) -> None:
    """Refuse to work on a schema of another release.

    Raises:
        Conflict: it is older (upgrade it) or newer (upgrade this program), or a move into the database was interrupted.
    """
    refuse_unfinished(database)
    at, wanted = current(database), newest()
    if at == wanted:
        return
    if at is None or at in revisions():
        raise Conflict(
            f"the database's schema is at {at or 'nothing'}, this release needs {wanted}: run 'flyball db upgrade'"
        )
    raise Conflict(f"the database's schema ({at}) is newer than this release: install the release that made it")


def refuse_unfinished(database: Database) -> None:
    """Refuse a database that a move has not filled yet.

    Raises:
        Conflict: a move into it was interrupted.
    """
    with database.read() as connection:
        if inspect(connection).has_table(UNFINISHED):
            raise Conflict(
                "a move into this database was interrupted: run the same 'flyball db move' again, which goes on where it was",
                field="database_url",
            )
