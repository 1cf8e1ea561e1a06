"""The schema of the database: one Alembic history, made and brought up to date from here."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict

FOLDER = Path(__file__).parent


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema to a revision, the newest if not said otherwise; all of it, or nothing of a step.

    Raises:
        Conflict: the database has tables of somebody else.
    """
    if current(database) is None and (tables := inspect(database.engine).get_table_names()):
        raise Conflict(
            f"the database has tables ({', '.join(sorted(tables)[:3])}) and no revision of ours: it is another program's; "
            "set FLYBALL_DATABASE_URL to an empty one",
            field="database_url",
        )
    with database.engine.begin() as connection:
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revision)


def current(database: Database) -> str | None:
    """Return the revision the schema is at, None for a database without one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """Return the newest revision of this release."""
    return ScriptDirectory.from_config(_configuration()).get_current_head() or ""


def require_newest(database: Database) -> None:
    """Refuse to work on a schema of another release.

    Raises:
        Conflict: it is older (upgrade it) or newer (upgrade this program).
    """
    at = current(database)
    if at == newest():
        return
    known = {script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions()}
    if at is None or at in known:
        raise Conflict(
            f"the database's schema is at {at or 'nothing'}, this release needs {newest()}: run 'flyball db upgrade'"
        )
    raise Conflict(f"the database's schema ({at}) is newer than this release: install the release that made it")


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(FOLDER))
    configuration.set_main_option("path_separator", "os")
    return configuration
