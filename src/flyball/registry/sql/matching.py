"""Searches as SQL conditions, equal on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, exists, func, true

from flyball.registry.naming import PROMPT_TAG
from flyball.registry.search import Search
from flyball.registry.tables import model_tags
from flyball.tracking.search import Clause, Field
from flyball.tracking.sql.filters import compare, in_code_order, presence
from flyball.tracking.sql.statements import insert_for

_COLUMNS = {
    "creation_timestamp": "created_ms",
    "last_updated_timestamp": "updated_ms",
    "version_number": "version",
    "source_path": "source",
}


def matches(
    clause: Clause, table: Table, *, tags: Table, tag_owner: ColumnElement[bool], dialect: str
) -> ColumnElement[bool]:
    """Compare a row as a clause says; a thing without a tag stands no comparison with it, not even `!=`."""
    if clause.field is Field.ATTRIBUTE:
        column = table.c[_COLUMNS.get(clause.key, clause.key)]
        return compare(column, clause.operator, clause.value, dialect=dialect)
    tagged = and_(tag_owner, tags.c.key == clause.key)
    there = presence(clause, exists().where(tagged))
    if there is not None:
        return there
    return exists().where(tagged, compare(tags.c.value, clause.operator, clause.value, dialect=dialect))


def prompt_condition(model_name: ColumnElement[str], search: Search) -> ColumnElement[bool]:
    """Ask for prompts, for no prompts, or for both, as the search says."""
    if search.prompts is None:
        return true()
    is_prompt = exists().where(
        model_tags.c.model == model_name, model_tags.c.key == PROMPT_TAG, func.lower(model_tags.c.value) == "true"
    )
    return is_prompt if search.prompts else ~is_prompt


def paged(query: Select[Any], table: Table, search: Search, *, dialect: str) -> Select[Any]:
    """Order a query, and take one row more than the page has, to know whether another page follows."""
    for item in search.order:
        column = in_code_order(table.c[_COLUMNS.get(item.key, item.key)], dialect=dialect)
        query = query.order_by(column.asc() if item.ascending else column.desc())
    return query.limit(search.limit + 1).offset(search.offset)


def insert_new(connection: Connection, table: Table, values: Mapping[str, object]) -> bool:
    """Insert a row unless it breaks a unique key, and say whether it was inserted; the transaction stays usable."""
    statement = insert_for(connection, table).values(**values).on_conflict_do_nothing()
    # RETURNING, because a driver need not count the rows of an INSERT.
    return connection.execute(statement.returning(*table.primary_key)).first() is not None
