"""Rows of every earlier schema, put into a database of that schema, and what must have become of them.

`rows/<revision>.json` has rows for the tables that this revision made or changed, as they stand at that revision: table → list
of rows, `null` for a table that it dropped. A table that a revision does not name is as the revision before left it. The files
state the same facts at every revision, so what is put in at an earlier one and upgraded must equal what the later files say.

A revision that fills a new table from rows of an older one names both under `$filled` (new → old); any other new
table must be empty afterwards. Bytes stand as `{"$bytes": "<hexadecimal>"}`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, MetaData, TextClause, inspect, select
from sqlalchemy.exc import SAWarning

from flyball.kernel.db import Database
from flyball.server import migrations

ROWS = Path(__file__).with_name("rows")
FILLED = "$filled"
BYTES = "$bytes"
BOOKKEEPING = "alembic_version"

Rows = dict[str, list[dict[str, Any]]]


def revisions_with_rows() -> list[str]:
    """Return the revisions that have a file of rows."""
    return sorted(path.stem for path in ROWS.glob("*.json"))


def rows_at(revision: str) -> Rows:
    """Return the rows of every table at a revision."""
    found: dict[str, list[dict[str, Any]] | None] = {}
    for name in revisions_with_rows():
        if name <= revision:
            found |= {table: rows for table, rows in _read(name).items() if table != FILLED}
    return {table: rows for table, rows in found.items() if rows is not None}


def expected_after(revision: str, *, newest: str) -> Rows:
    """Return what the rows of a revision must have become at the newest: older tables as the files say, newer ones empty."""
    begun_with = set(rows_at(revision))
    for name in revisions_with_rows():
        if revision < name <= newest:
            filled = cast("Mapping[str, str]", _read(name).get(FILLED, {}))
            begun_with |= {table for table, source in filled.items() if source in begun_with}
    return {table: rows if table in begun_with else [] for table, rows in rows_at(newest).items()}


def insert(database: Database, rows: Rows) -> None:
    """Put rows into the tables as they are in the database, parents first."""
    tables = _reflect(database.engine)
    with database.transaction() as connection:
        for table in tables.sorted_tables:
            if given := rows.get(table.name):
                connection.execute(table.insert(), given)


def content(database: Database) -> Rows:
    """Return every row of every table, in an order of their own."""
    with database.read() as connection:
        found = {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in _reflect(database.engine).sorted_tables
            if table.name != BOOKKEEPING
        }
    return ordered(found)


def ordered(rows: Rows) -> Rows:
    """Put rows into the order in which `content` has them."""
    return {name: sorted(found, key=lambda row: repr(sorted(row.items()))) for name, found in sorted(rows.items())}


def shape(engine: Engine) -> dict[str, object]:
    """Describe the schema as the database tells it: columns, keys, indexes, checks; on SQLite the statements as well."""
    look = inspect(engine)
    found: dict[str, object] = {}
    for table in look.get_table_names():
        columns = [
            (each["name"], repr(each["type"]), each["nullable"], str(each["default"]), each.get("autoincrement"))
            for each in look.get_columns(table)
        ]
        parts = (
            look.get_pk_constraint(table),
            look.get_foreign_keys(table),
            look.get_unique_constraints(table),
            look.get_check_constraints(table),
        )
        found[table] = (sorted(columns), *(sorted(repr(_plain(each)) for each in _listed(part)) for part in parts))
    statements = _statements(engine)
    found["indexes"] = sorted(text for kind, _, text in statements if kind == "index")
    found["without rowid"] = sorted(name for _, name, text in statements if "WITHOUT ROWID" in text)
    found["autoincrement"] = sorted(name for _, name, text in statements if "AUTOINCREMENT" in text)
    return found


def upgraded_with_rows(database: Database, revision: str) -> None:
    """Bring an empty database to a revision and put that revision's rows in."""
    migrations.upgrade(database, revision)
    insert(database, rows_at(revision))


def _listed(part: object) -> list[object]:
    return part if isinstance(part, list) else [part]


def _statements(engine: Engine) -> list[tuple[str, str, str]]:
    """Return (kind, name, statement) as the database keeps them: no reflection tells of indexes by expression."""
    query = {
        "sqlite": "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL",
        "postgresql": "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    }[engine.dialect.name]
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query).all()
    found = ((kind, name, " ".join(str(text).replace('"', "").split())) for kind, name, text in rows)
    return [row for row in found if BOOKKEEPING not in row[2]]


def _plain(part: object) -> object:
    """Turn a description into values that compare: the condition of a partial index is an object without an equality."""
    if isinstance(part, Mapping):
        return {name: _plain(value) for name, value in part.items()}
    return str(part) if isinstance(part, TextClause) else part


def _reflect(engine: Engine) -> MetaData:
    found = MetaData()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # about indexes by expression, which no row needs
        found.reflect(engine)
    return found


def _read(revision: str) -> dict[str, Any]:
    text = (ROWS / f"{revision}.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text, object_hook=_with_bytes))


def _with_bytes(found: dict[str, Any]) -> object:
    return bytes.fromhex(found[BYTES]) if set(found) == {BYTES} else found
