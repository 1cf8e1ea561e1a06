"""Open a database of MLflow to read, and refuse what is none or is of an unknown schema."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from flyball.kernel.errors import InvalidInput, MissingExtra, Unauthenticated, Unavailable, Unsupported
from flyball.transfer.sql.mlflow_schema import REMEDY, REVISIONS, SUPPORTED, TAKEN

FIELD = "source"
REFUSED_LOGIN = ("password authentication failed", "no password supplied", "role ", "authentication failed")


def parse_database_url(text_: str) -> URL:
    """Read the URL of a database as MLflow takes it.

    Raises:
        InvalidInput: it cannot be read.
        Unsupported: it names another database than SQLite or PostgreSQL.
    """
    try:
        url = make_url(text_)
    except ArgumentError as error:
        raise InvalidInput("this is no database URL; example: sqlite:////data/mlflow.db", field=FIELD) from error
    if url.drivername in {"postgres", "postgresql"} or url.drivername.startswith("postgresql+"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        return url
    raise Unsupported(
        f"'{url.get_backend_name()}' is not read; use sqlite or postgresql, or import over HTTP from the MLflow server "
        "that runs on this database",
        field=FIELD,
    )


def open_engine(url: URL) -> Engine:
    """Open a database without the right to change it where that can be had.

    Raises:
        InvalidInput: there is no such file.
        MissingExtra: the driver for PostgreSQL is not installed.
    """
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(url)
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise MissingExtra.named("psycopg", "postgres") from error
    path = Path(url.database or "").absolute()
    if not path.is_file():
        raise InvalidInput(f"there is no database file {path}", field=FIELD)
    return create_engine(URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"}))


def connection_fault(error: DBAPIError, name: str) -> InvalidInput | Unavailable | Unauthenticated:
    """Say why a database cannot be read."""
    reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no reason given"
    if "not a database" in reason:
        return InvalidInput(f"{name} is no SQLite database", field=FIELD)
    if any(words in reason for words in REFUSED_LOGIN):
        return Unauthenticated(f"{name} refuses the login: {reason}", field=FIELD)
    return Unavailable(f"{name} cannot be read: {reason}", field=FIELD)


def read_revision(connection: Connection, name: str) -> str:
    """Return the revision of the schema.

    Raises:
        InvalidInput: this is no database of MLflow.
        Unsupported: its schema is of a release that is not read.
    """
    names = set(inspect(connection).get_table_names())
    if {"events", "edges", "artifact_names"} <= names:
        raise InvalidInput(
            f"{name} is a database of Flyball: use 'flyball export' there and 'flyball import flyball' here",
            field=FIELD,
        )
    if not {"alembic_version", "experiments", "runs", "metrics"} <= names:
        raise InvalidInput(f"{name} is no MLflow database: it has no tables of MLflow's tracking store", field=FIELD)
    revision = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    if revision not in REVISIONS:
        raise Unsupported(
            f"{name} has schema revision {revision}, which is none of {SUPPORTED} "
            f"({REVISIONS[0]} to {REVISIONS[-1]}); {REMEDY}",
            field=FIELD,
        )
    return revision


def read_tables(connection: Connection) -> dict[str, Table]:
    """Return those tables that are taken over, as they are in this database."""
    metadata = MetaData()
    there = TAKEN & set(inspect(connection).get_table_names())
    return {name: Table(name, metadata, autoload_with=connection, resolve_fks=False) for name in there}
