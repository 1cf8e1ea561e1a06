"""Dataset versions on a database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from flyball.datasets.entities import Column, DatasetVersion, schema_json
from flyball.datasets.tables import dataset_versions as versions
from flyball.datasets.tables import datasets
from flyball.kernel.canonical import Digest, JsonValue, canonical_json, parse_json
from flyball.kernel.db import Database


class SqlDatasetStore:
    """One row a version, and one row a name that holds the newest number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_version(self, name: str) -> int:
        make = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
        latest = select(datasets.c.latest).where(datasets.c.name == name).with_for_update()
        with self._database.transaction() as connection:
            connection.execute(make(datasets).values(name=name, latest=0).on_conflict_do_nothing())
            number: int = connection.execute(latest).scalar_one()
        return number + 1

    def insert(self, version: DatasetVersion) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(versions), _row(version))
            mine = datasets.c.name == version.name
            connection.execute(update(datasets).where(mine).values(latest=version.version))

    def find(self, name: str, version: int) -> DatasetVersion | None:
        return self._first(select(versions).where(versions.c.name == name, versions.c.version == version))

    def find_latest(self, name: str) -> DatasetVersion | None:
        return self._first(select(versions).where(versions.c.name == name).order_by(versions.c.version.desc()))

    def find_digest(self, digest: Digest, *, name: str | None = None) -> DatasetVersion | None:
        query = select(versions).where(versions.c.digest == digest)
        if name is not None:
            query = query.where(versions.c.name == name)
        return self._first(query.order_by(versions.c.created_ms, versions.c.name, versions.c.version))

    def list(self, name: str | None = None) -> list[DatasetVersion]:
        query = select(versions) if name is None else select(versions).where(versions.c.name == name)
        with self._database.read() as connection:
            found = [_version(row) for row in connection.execute(query)]
        # Sorted here, by code point: the database's order of names depends on its locale.
        return sorted(found, key=lambda version: (version.name, version.version))

    def _first(self, query: Select[tuple[object, ...]]) -> DatasetVersion | None:
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        return _version(row) if row else None


def _row(version: DatasetVersion) -> dict[str, object]:
    return {
        "name": version.name,
        "version": version.version,
        "digest": version.digest,
        "row_count": version.row_count,
        "columns": canonical_json(schema_json(version.columns)).decode(),
        "profile_digest": version.profile_digest,
        "source": version.source,
        "created_ms": version.created_ms,
        "context": canonical_json(version.context).decode(),
    }


def _version(row: Row[tuple[object, ...]]) -> DatasetVersion:
    return DatasetVersion(
        name=row.name,
        version=row.version,
        digest=Digest(row.digest),
        row_count=row.row_count,
        columns=tuple(Column(**column) for column in json.loads(row.columns)),
        profile_digest=Digest(row.profile_digest),
        source=row.source,
        created_ms=row.created_ms,
        context=cast("Mapping[str, JsonValue]", parse_json(row.context)),
    )
