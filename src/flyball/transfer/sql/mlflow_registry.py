"""The registry in a database of MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, func, select, true

from flyball.kernel.canonical import Digest
from flyball.registry.entities import ModelVersion, RegisteredModel, Stage
from flyball.transfer.entities import FoundModel
from flyball.transfer.locations import whereabouts
from flyball.transfer.sql.mlflow_schema import DEFAULT_WORKSPACE

# What MLflow leaves of a deleted version, so that its number is not given out again.
DELETED = "Deleted_Internal"


class MlflowRegistry:
    """The registered models of one database."""

    def __init__(self, connection: Connection, tables: Mapping[str, Table]) -> None:
        self._connection = connection
        self._tables = tables

    def count(self) -> int:
        """Count the models."""
        query = select(func.count()).select_from(self._tables["registered_models"])
        return int(self._connection.execute(query.where(self._mine("registered_models"))).scalar_one())

    def models(self) -> Iterator[FoundModel]:
        """Yield the models, by name."""
        table = self._tables["registered_models"]
        query = select(table).where(self._mine("registered_models")).order_by(table.c.name)
        for row in self._connection.execute(query).all():
            yield self._found(row)

    def status_messages(self) -> int:
        """Count the messages beside the status of versions, which this platform does not keep."""
        table = self._tables["model_versions"]
        query = select(func.count()).where(self._mine("model_versions"), table.c.status_message != "")
        return int(self._connection.execute(query).scalar_one())

    def _found(self, row: Row[Any]) -> FoundModel:
        versions = self._tables["model_versions"]
        of_model = and_(versions.c.name == row.name, self._mine("model_versions"))
        rows = self._connection.execute(select(versions).where(of_model).order_by(versions.c.version)).all()
        kept = [each for each in rows if each.current_stage != DELETED]
        tags = self._version_tags(row.name)
        return FoundModel(
            model=self._model(row, {each.version for each in kept}),
            versions=tuple(_version(each, tags.get(each.version, {})) for each in kept),
            last=max((each.version for each in rows), default=0),
        )

    def _model(self, row: Row[Any], numbers: set[int]) -> RegisteredModel:
        aliases: dict[str, int] = {}
        if "registered_model_aliases" in self._tables:
            for each in self._of_model("registered_model_aliases", row.name):
                aliases[each.alias] = each.version
        return RegisteredModel(
            name=row.name,
            description=row.description or "",
            tags={each.key: each.value or "" for each in self._of_model("registered_model_tags", row.name)},
            aliases={alias: number for alias, number in aliases.items() if number in numbers},
            created_ms=row.creation_time or 0,
            updated_ms=row.last_updated_time or row.creation_time or 0,
            created_by="",
        )

    def _version_tags(self, name: str) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for each in self._of_model("model_version_tags", name):
            found.setdefault(each.version, {})[each.key] = each.value or ""
        return found

    def _of_model(self, name: str, model: str) -> list[Row[Any]]:
        table = self._tables[name]
        return list(self._connection.execute(select(table).where(table.c.name == model, self._mine(name))).all())

    def _mine(self, name: str) -> ColumnElement[bool]:
        table = self._tables[name].c
        return table.workspace == DEFAULT_WORKSPACE if "workspace" in table else true()


def _version(row: Row[Any], tags: Mapping[str, str]) -> ModelVersion:
    place = whereabouts(row.source or "")
    return ModelVersion(
        name=row.name,
        version=row.version,
        source=row.source or "",
        location=getattr(row, "storage_location", None) or row.source or "",
        run_id=row.run_id or "",
        model_id=place.key if place is not None and place.kind == "model" else "",
        run_link=row.run_link or "",
        digest=Digest(""),
        status=row.status or "READY",
        stage=Stage(row.current_stage or "None"),
        description=row.description or "",
        tags=tags,
        created_ms=row.creation_time or 0,
        updated_ms=row.last_updated_time or row.creation_time or 0,
        created_by=row.user_id or "",
    )
