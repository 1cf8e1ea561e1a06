"""Registered models on a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists
from flyball.registry.entities import RegisteredModel
from flyball.registry.naming import is_prompt
from flyball.registry.search import Search
from flyball.registry.sql.matching import insert_new, matches, paged, prompt_condition
from flyball.registry.tables import model_aliases, model_tags, registered_models, version_counters


class SqlModelStore:
    """One row a model, one row a tag, one row an alias."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, model: RegisteredModel) -> None:
        with self._database.transaction() as connection:
            row = {
                "name": model.name,
                "description": model.description,
                "created_ms": model.created_ms,
                "updated_ms": model.updated_ms,
                "created_by": model.created_by,
            }
            if not insert_new(connection, registered_models, row):
                raise _taken(model.name, field="name", prompt=is_prompt(model.tags))
            insert_new(connection, version_counters, {"name": model.name, "last": 0})
            _write_tags(connection, model)

    def find(self, name: str) -> RegisteredModel | None:
        with self._database.read() as connection:
            row = connection.execute(select(registered_models).where(registered_models.c.name == name)).first()
            return _models(connection, [row])[0] if row else None

    def lock(self, name: str) -> RegisteredModel | None:
        with self._database.transaction() as connection:
            query = select(registered_models).where(registered_models.c.name == name).with_for_update()
            row = connection.execute(query).first()
            return _models(connection, [row])[0] if row else None

    def save(self, model: RegisteredModel) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                update(registered_models)
                .where(registered_models.c.name == model.name)
                .values(description=model.description, updated_ms=model.updated_ms)
            )
            connection.execute(delete(model_tags).where(model_tags.c.model == model.name))
            connection.execute(delete(model_aliases).where(model_aliases.c.name == model.name))
            _write_tags(connection, model)
            aliases = [{"name": model.name, "alias": key, "version": value} for key, value in model.aliases.items()]
            if aliases:
                connection.execute(insert(model_aliases), aliases)

    def rename(self, name: str, new_name: str) -> None:
        with self._database.transaction() as connection:
            if connection.execute(select(registered_models.c.name).where(registered_models.c.name == new_name)).first():
                raise _taken(new_name, field="new_name")
            counter = version_counters.c
            last = int(connection.execute(select(counter.last).where(counter.name == name)).scalar_one())
            if not insert_new(connection, version_counters, {"name": new_name, "last": last}):
                raised = update(version_counters).where(counter.name == new_name, counter.last < last)
                connection.execute(raised.values(last=last))
            connection.execute(update(registered_models).where(registered_models.c.name == name).values(name=new_name))

    def remove(self, name: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(delete(registered_models).where(registered_models.c.name == name))

    def search(self, search: Search) -> list[RegisteredModel]:
        dialect = self._database.dialect
        mine = model_tags.c.model == registered_models.c.name
        query = select(registered_models).where(
            prompt_condition(registered_models.c.name, search),
            *(
                matches(clause, registered_models, tags=model_tags, tag_owner=mine, dialect=dialect)
                for clause in search.clauses
            ),
        )
        with self._database.read() as connection:
            return _models(
                connection, connection.execute(paged(query, registered_models, search, dialect=dialect)).all()
            )


def _taken(name: str, *, field: str, prompt: bool = False) -> AlreadyExists:
    kind = "Prompt" if prompt else "Registered Model"
    return AlreadyExists(
        f"{kind} (name={name}) already exists. Register a version of it, or choose another name", field=field
    )


def _write_tags(connection: Connection, model: RegisteredModel) -> None:
    tags = [{"model": model.name, "key": key, "value": value} for key, value in model.tags.items()]
    if tags:
        connection.execute(insert(model_tags), tags)


def _models(connection: Connection, rows: Sequence[Row[Any]]) -> list[RegisteredModel]:
    names = [row.name for row in rows]
    tags: dict[str, dict[str, str]] = {name: {} for name in names}
    aliases: dict[str, dict[str, int]] = {name: {} for name in names}
    tag_query = select(model_tags).where(model_tags.c.model.in_(names)).order_by(model_tags.c.key)
    for tag in connection.execute(tag_query):
        tags[tag.model][tag.key] = tag.value
    alias_query = select(model_aliases).where(model_aliases.c.name.in_(names)).order_by(model_aliases.c.alias)
    for alias in connection.execute(alias_query):
        aliases[alias.name][alias.alias] = alias.version
    return [
        RegisteredModel(
            name=row.name,
            description=row.description,
            tags=tags[row.name],
            aliases=aliases[row.name],
            created_ms=row.created_ms,
            updated_ms=row.updated_ms,
            created_by=row.created_by,
        )
        for row in rows
    ]
