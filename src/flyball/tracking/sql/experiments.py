"""Experiments on a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, select, update
from sqlalchemy.exc import IntegrityError

from flyball.kernel.db import Database, run_text
from flyball.kernel.errors import Conflict
from flyball.tracking.entities import Experiment, ExperimentId, Lifecycle, View
from flyball.tracking.search import Clause, Field, Ordering
from flyball.tracking.sql.filters import as_text, compare, in_code_order, presence
from flyball.tracking.sql.numbers import experiment_number
from flyball.tracking.sql.statements import chunks, insert_for, put_values
from flyball.tracking.tables import experiment_tags, experiments

_COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "name": experiments.c.name,
    "creation_time": experiments.c.created_ms,
    "last_update_time": experiments.c.updated_ms,
}


# `runs/create` asks for its experiment each time, so these are plain text.
_BY = (
    "SELECT e.experiment_id, e.name, e.artifact_location, e.lifecycle, e.created_ms, e.updated_ms, t.key, t.value "
    "FROM experiments AS e LEFT JOIN experiment_tags AS t ON t.experiment_id = e.experiment_id "
    "WHERE {condition} ORDER BY t.key"
)
_BY_ID, _BY_NAME = (_BY.replace("{condition}", f"e.{name} = ?") for name in ("experiment_id", "name"))
_LOCK = "SELECT 1 FROM experiments WHERE experiment_id = ? FOR UPDATE"


class _Row(NamedTuple):
    """A row of `experiments` as the statements above return it."""

    experiment_id: int
    name: str
    artifact_location: str
    lifecycle: str
    created_ms: int
    updated_ms: int


class SqlExperimentStore:
    """Experiments as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, experiment: Experiment) -> Experiment | None:
        with self._database.transaction() as connection:
            row: dict[str, object] = {
                "name": experiment.name,
                "artifact_location": experiment.artifact_location,
                "lifecycle": experiment.lifecycle,
                "created_ms": experiment.created_ms,
                "updated_ms": experiment.updated_ms,
            }
            if experiment.experiment_id:
                row["experiment_id"] = int(experiment.experiment_id)
            made = connection.execute(
                insert_for(connection, experiments).on_conflict_do_nothing().returning(experiments.c.experiment_id), row
            ).scalar()
            if made is None:
                return None
            location = experiment.artifact_location.replace("{id}", str(made))
            if location != experiment.artifact_location:
                connection.execute(
                    update(experiments).where(experiments.c.experiment_id == made).values(artifact_location=location)
                )
            self.put_tags(str(made), experiment.tags)
            return self.find(str(made))

    def find(self, experiment_id: str) -> Experiment | None:
        number = experiment_number(experiment_id)
        return None if number is None else self._find(_BY_ID, number)

    def find_name(self, name: str) -> Experiment | None:
        return self._find(_BY_NAME, name)

    def lock(self, experiment_id: str) -> Experiment | None:
        number = experiment_number(experiment_id)
        if number is None:
            return None
        with self._database.transaction() as connection:
            if self._database.dialect == "postgresql":  # on SQLite the transaction itself is the lock
                run_text(connection, _LOCK, [number])
            return self._find(_BY_ID, number)

    def update(self, experiment: Experiment) -> bool:
        number = int(experiment.experiment_id)
        other = and_(experiments.c.name == experiment.name, experiments.c.experiment_id != number)
        with self._database.transaction() as connection:
            if connection.execute(select(experiments.c.experiment_id).where(other)).first() is not None:
                return False
            changed = (
                update(experiments)
                .where(experiments.c.experiment_id == number)
                .values(name=experiment.name, lifecycle=experiment.lifecycle, updated_ms=experiment.updated_ms)
            )
            try:
                connection.execute(changed)
            except IntegrityError as error:  # another took the name since we looked
                raise Conflict(f"experiment '{experiment.name}' was made at this moment", field="new_name") from error
            return True

    def put_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        rows = [{"experiment_id": int(experiment_id), "key": key, "value": value} for key, value in tags.items()]
        with self._database.transaction() as connection:
            put_values(connection, experiment_tags, rows)

    def delete_tag(self, experiment_id: str, key: str) -> bool:
        mine = and_(experiment_tags.c.experiment_id == int(experiment_id), experiment_tags.c.key == key)
        with self._database.transaction() as connection:
            return connection.execute(delete(experiment_tags).where(mine)).rowcount > 0

    def search(
        self, clauses: Sequence[Clause], *, view: View, order: Sequence[Ordering], offset: int, limit: int
    ) -> list[Experiment]:
        query = (
            select(experiments)
            .where(experiments.c.lifecycle.in_(view.lifecycles), *(self._condition(clause) for clause in clauses))
            .order_by(*self._order(order))
            .offset(offset)
            .limit(limit)
        )
        with self._database.read() as connection:
            return _with_tags(connection, list(connection.execute(query)))

    def _find(self, statement: str, value: int | str) -> Experiment | None:
        with self._database.read() as connection:
            rows = run_text(connection, statement, [value]).fetchall()
        if not rows:
            return None
        return _experiment(_Row._make(rows[0][:6]), {key: tag for *_, key, tag in rows if key is not None})

    def _condition(self, clause: Clause) -> ColumnElement[bool]:
        dialect = self._database.dialect
        if clause.field is Field.ATTRIBUTE:
            column = _COLUMNS.get(clause.key, as_text(experiments.c.experiment_id))
            return compare(column, clause.operator, clause.value, dialect=dialect)
        mine = and_(experiment_tags.c.experiment_id == experiments.c.experiment_id, experiment_tags.c.key == clause.key)
        there = presence(clause, exists().where(mine))
        if there is not None:
            return there
        compared = compare(experiment_tags.c.value, clause.operator, clause.value, dialect=dialect)
        return exists().where(mine, compared)

    def _order(self, order: Sequence[Ordering]) -> list[ColumnElement[Any]]:
        keys: list[ColumnElement[Any]] = []
        for item in order or (Ordering(field=Field.ATTRIBUTE, key="creation_time", ascending=False),):
            column = in_code_order(_COLUMNS.get(item.key, experiments.c.experiment_id), dialect=self._database.dialect)
            keys.append(column.asc() if item.ascending else column.desc())
        # Without an order of its own the search counts upwards among equals, otherwise downwards, as MLflow does.
        last = experiments.c.experiment_id
        return [*keys, last.desc() if order else last.asc()]


def _with_tags(connection: Connection, rows: Sequence[Row[Any]]) -> list[Experiment]:
    tags: dict[int, dict[str, str]] = {row.experiment_id: {} for row in rows}
    for ids in chunks(list(tags)):
        wanted = select(experiment_tags).where(experiment_tags.c.experiment_id.in_(ids)).order_by(experiment_tags.c.key)
        for tag in connection.execute(wanted):
            tags[tag.experiment_id][tag.key] = tag.value
    return [_experiment(row, tags[row.experiment_id]) for row in rows]


def _experiment(row: Row[Any] | _Row, tags: Mapping[str, str]) -> Experiment:
    return Experiment(
        experiment_id=ExperimentId(str(row.experiment_id)),
        name=row.name,
        artifact_location=row.artifact_location,
        lifecycle=Lifecycle(row.lifecycle),
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        tags=tags,
    )
