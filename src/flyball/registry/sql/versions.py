"""Model versions and their evidence on a database."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, delete, func, insert, select, tuple_, update

from flyball.kernel.canonical import Digest
from flyball.kernel.db import Database
from flyball.registry.entities import EvidenceKind, ModelVersion, Stage
from flyball.registry.search import Search
from flyball.registry.sql.matching import matches, paged, prompt_condition
from flyball.registry.tables import (
    model_aliases,
    model_version_evidence,
    model_version_tags,
    model_versions,
    version_counters,
)

# SQLite's default limit on bound variables is 32,766; a chunk of keys stays far below it.
_CHUNK = 500


class SqlVersionStore:
    """One row a version, one row a tag; numbers come from a counter that outlives the model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_number(self, name: str) -> int:
        mine = version_counters.c.name == name
        with self._database.transaction() as connection:
            taken = update(version_counters).where(mine).values(last=version_counters.c.last + 1)
            return int(connection.execute(taken.returning(version_counters.c.last)).scalar_one())

    def last_number(self, name: str) -> int:
        query = select(version_counters.c.last).where(version_counters.c.name == name)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def add(self, version: ModelVersion) -> None:
        row = dataclasses.asdict(version)
        del row["tags"], row["aliases"]
        with self._database.transaction() as connection:
            connection.execute(insert(model_versions), row)
            _write_tags(connection, version)

    def find(self, name: str, number: int) -> ModelVersion | None:
        with self._database.read() as connection:
            row = connection.execute(select(model_versions).where(_is(name, number))).first()
            return _versions(connection, [row])[0] if row else None

    def save(self, version: ModelVersion) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                update(model_versions)
                .where(_is(version.name, version.version))
                .values(description=version.description, stage=version.stage, updated_ms=version.updated_ms)
            )
            tags = model_version_tags.c
            mine = and_(tags.name == version.name, tags.version == version.version)
            connection.execute(delete(model_version_tags).where(mine))
            _write_tags(connection, version)

    def remove(self, name: str, number: int) -> None:
        with self._database.transaction() as connection:
            connection.execute(delete(model_versions).where(_is(name, number)))

    def search(self, search: Search) -> list[ModelVersion]:
        dialect = self._database.dialect
        tags = model_version_tags.c
        mine = and_(tags.name == model_versions.c.name, tags.version == model_versions.c.version)
        query = select(model_versions).where(
            prompt_condition(model_versions.c.name, search),
            *(
                matches(clause, model_versions, tags=model_version_tags, tag_owner=mine, dialect=dialect)
                for clause in search.clauses
            ),
        )
        with self._database.read() as connection:
            return _versions(
                connection, connection.execute(paged(query, model_versions, search, dialect=dialect)).all()
            )

    def newest(self, names: Collection[str]) -> list[ModelVersion]:
        rank = (
            func.row_number()
            .over(
                partition_by=[model_versions.c.name, model_versions.c.stage], order_by=model_versions.c.version.desc()
            )
            .label("rank")
        )
        ranked = select(model_versions, rank).where(model_versions.c.name.in_(list(names))).subquery()
        query = select(ranked).where(ranked.c.rank == 1).order_by(ranked.c.name, ranked.c.version)
        with self._database.read() as connection:
            return _versions(connection, connection.execute(query).all())


class SqlEvidenceStore:
    """One row a kind of evidence and version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attach(self, name: str, number: int, *, kind: EvidenceKind, digest: Digest) -> None:
        columns = model_version_evidence.c
        mine = and_(columns.name == name, columns.version == number, columns.kind == kind)
        row = {"name": name, "version": number, "kind": str(kind), "digest": digest}
        with self._database.transaction() as connection:
            connection.execute(delete(model_version_evidence).where(mine))
            connection.execute(insert(model_version_evidence), row)

    def read(self, name: str, number: int) -> dict[EvidenceKind, Digest]:
        columns = model_version_evidence.c
        mine = and_(columns.name == name, columns.version == number)
        with self._database.read() as connection:
            rows = connection.execute(select(model_version_evidence).where(mine).order_by(columns.kind))
            return {EvidenceKind(row.kind): Digest(row.digest) for row in rows}


def _is(name: str, number: int) -> ColumnElement[bool]:
    return and_(model_versions.c.name == name, model_versions.c.version == number)


def _write_tags(connection: Connection, version: ModelVersion) -> None:
    tags = [
        {"name": version.name, "version": version.version, "key": key, "value": value}
        for key, value in version.tags.items()
    ]
    if tags:
        connection.execute(insert(model_version_tags), tags)


def _versions(connection: Connection, rows: Sequence[Row[Any]]) -> list[ModelVersion]:
    tags: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    aliases: dict[tuple[str, int], list[str]] = defaultdict(list)
    for start in range(0, len(rows), _CHUNK):
        chunk = [(row.name, row.version) for row in rows[start : start + _CHUNK]]
        for tag in connection.execute(_belonging(model_version_tags, chunk, by="key")):
            tags[tag.name, tag.version][tag.key] = tag.value
        for alias in connection.execute(_belonging(model_aliases, chunk, by="alias")):
            aliases[alias.name, alias.version].append(alias.alias)
    return [_version(row, tags[row.name, row.version], aliases[row.name, row.version]) for row in rows]


def _belonging(table: Table, versions: Sequence[tuple[str, int]], *, by: str) -> Select[Any]:
    return select(table).where(tuple_(table.c.name, table.c.version).in_(versions)).order_by(table.c[by])


def _version(row: Row[Any], tags: dict[str, str], aliases: list[str]) -> ModelVersion:
    return ModelVersion(
        name=row.name,
        version=row.version,
        source=row.source,
        location=row.location,
        run_id=row.run_id,
        model_id=row.model_id,
        run_link=row.run_link,
        digest=Digest(row.digest),
        status=row.status,
        stage=Stage(row.stage),
        description=row.description,
        tags=tags,
        aliases=tuple(aliases),
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        created_by=row.created_by,
    )
