"""Evaluation datasets on a database."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, or_, select, update

from flyball.kernel.db import Database
from flyball.tracking.evaluation.entities import EvaluationDataset, EvaluationRecord
from flyball.tracking.evaluation.ports import Question
from flyball.tracking.evaluation.tables import (
    evaluation_datasets,
    evaluation_experiments,
    evaluation_records,
    evaluation_tags,
)
from flyball.tracking.search import Clause, Field
from flyball.tracking.sql.filters import compare, in_code_order, presence
from flyball.tracking.sql.statements import chunks

_COLUMNS = {"created_time": "created_ms", "last_update_time": "updated_ms", "last_updated_by": "updated_by"}
_CONTENT = ("inputs", "outputs", "expectations", "tags", "source")


class SqlEvaluationStore:
    """One row a dataset, one row a tag, one row an experiment it belongs to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, dataset: EvaluationDataset) -> None:
        with self._database.transaction() as connection:
            connection.execute(insert(evaluation_datasets), _row(dataset))
            _write_tags(connection, dataset)

    def find(self, dataset_id: str) -> EvaluationDataset | None:
        with self._database.read() as connection:
            query = select(evaluation_datasets).where(evaluation_datasets.c.id == dataset_id)
            return next(iter(_datasets(connection, connection.execute(query).all())), None)

    def lock(self, dataset_id: str) -> EvaluationDataset | None:
        with self._database.transaction() as connection:
            query = select(evaluation_datasets).where(evaluation_datasets.c.id == dataset_id).with_for_update()
            return next(iter(_datasets(connection, connection.execute(query).all())), None)

    def save(self, dataset: EvaluationDataset) -> None:
        with self._database.transaction() as connection:
            mine = evaluation_datasets.c.id == dataset.id
            connection.execute(update(evaluation_datasets).where(mine).values(_row(dataset)))
            connection.execute(delete(evaluation_tags).where(evaluation_tags.c.dataset_id == dataset.id))
            _write_tags(connection, dataset)

    def remove(self, dataset_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(delete(evaluation_datasets).where(evaluation_datasets.c.id == dataset_id))

    def search(self, question: Question) -> list[EvaluationDataset]:
        dialect = self._database.dialect
        query = select(evaluation_datasets).where(*(_matches(clause, dialect) for clause in question.clauses))
        if question.experiments is not None:
            columns = evaluation_experiments.c
            query = query.where(
                exists().where(
                    columns.dataset_id == evaluation_datasets.c.id, columns.experiment_id.in_(question.experiments)
                )
            )
        for item in question.order:
            column = in_code_order(evaluation_datasets.c[_COLUMNS.get(item.key, item.key)], dialect=dialect)
            query = query.order_by(column.asc() if item.ascending else column.desc())
        query = query.order_by(evaluation_datasets.c.id.desc())
        with self._database.read() as connection:
            found = connection.execute(query.limit(question.limit + 1).offset(question.offset)).all()
            return _datasets(connection, found)

    def experiments(self, dataset_id: str) -> list[str]:
        columns = evaluation_experiments.c
        query = select(columns.experiment_id).where(columns.dataset_id == dataset_id).order_by(columns.position)
        with self._database.read() as connection:
            return [str(row.experiment_id) for row in connection.execute(query)]

    def set_experiments(self, dataset_id: str, experiment_ids: Sequence[str]) -> None:
        table = evaluation_experiments
        rows = [
            {"dataset_id": dataset_id, "experiment_id": experiment_id, "position": position}
            for position, experiment_id in enumerate(dict.fromkeys(experiment_ids))
        ]
        with self._database.transaction() as connection:
            connection.execute(delete(table).where(table.c.dataset_id == dataset_id))
            if rows:
                connection.execute(insert(table), rows)


class SqlEvaluationRecordStore:
    """One row a record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_inputs(self, dataset_id: str, digests: Collection[str]) -> Mapping[str, EvaluationRecord]:
        columns = evaluation_records.c
        found: dict[str, EvaluationRecord] = {}
        with self._database.read() as connection:
            for piece in chunks(list(digests)):
                query = select(evaluation_records).where(
                    columns.dataset_id == dataset_id, columns.input_digest.in_(piece)
                )
                found |= {row.input_digest: _record(row) for row in connection.execute(query)}
        return found

    def put(self, records: Sequence[EvaluationRecord]) -> None:
        with self._database.transaction() as connection:
            for piece in chunks(records):
                connection.execute(
                    delete(evaluation_records).where(evaluation_records.c.id.in_([record.id for record in piece]))
                )
                connection.execute(insert(evaluation_records), [_record_row(record) for record in piece])

    def remove(self, dataset_id: str, record_ids: Collection[str]) -> int:
        columns, removed = evaluation_records.c, 0
        with self._database.transaction() as connection:
            for piece in chunks(list(record_ids)):
                gone = delete(evaluation_records).where(columns.dataset_id == dataset_id, columns.id.in_(piece))
                removed += len(connection.execute(gone.returning(columns.id)).all())
        return removed

    def count(self, dataset_id: str) -> int:
        mine = evaluation_records.c.dataset_id == dataset_id
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).where(mine)).scalar_one())

    def page(self, dataset_id: str, *, after: tuple[int, str] | None, limit: int) -> list[EvaluationRecord]:
        columns = evaluation_records.c
        query = select(evaluation_records).where(columns.dataset_id == dataset_id)
        if after is not None:
            created_ms, record_id = after
            later = and_(columns.created_ms == created_ms, columns.id > record_id)
            query = query.where(or_(columns.created_ms > created_ms, later))
        with self._database.read() as connection:
            found = connection.execute(query.order_by(columns.created_ms, columns.id).limit(limit))
            return [_record(row) for row in found]


def _matches(clause: Clause, dialect: str) -> Any:  # noqa: ANN401 -- a condition, whose type SQLAlchemy keeps to itself
    if clause.field is Field.ATTRIBUTE:
        column = evaluation_datasets.c[_COLUMNS.get(clause.key, clause.key)]
        return compare(column, clause.operator, clause.value, dialect=dialect)
    tags = evaluation_tags.c
    tagged = and_(tags.dataset_id == evaluation_datasets.c.id, tags.key == clause.key)
    there = presence(clause, exists().where(tagged))
    if there is not None:
        return there
    return exists().where(tagged, compare(tags.value, clause.operator, clause.value, dialect=dialect))


def _row(dataset: EvaluationDataset) -> dict[str, object]:
    row = dataclasses.asdict(dataset)
    del row["tags"]
    return row


def _write_tags(connection: Connection, dataset: EvaluationDataset) -> None:
    rows = [{"dataset_id": dataset.id, "key": key, "value": value} for key, value in dataset.tags.items()]
    if rows:
        connection.execute(insert(evaluation_tags), rows)


def _datasets(connection: Connection, rows: Sequence[Row[Any]]) -> list[EvaluationDataset]:
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    for piece in chunks([row.id for row in rows]):
        query = select(evaluation_tags).where(evaluation_tags.c.dataset_id.in_(piece))
        for tag in connection.execute(query.order_by(evaluation_tags.c.key)):
            tags[tag.dataset_id][tag.key] = tag.value
    return [EvaluationDataset(**row._asdict(), tags=tags[row.id]) for row in rows]


def _record_row(record: EvaluationRecord) -> dict[str, object]:
    row = dataclasses.asdict(record)
    content = {key: row.pop(key) for key in _CONTENT}
    return row | {"content": json.dumps(content)}


def _record(row: Row[Any]) -> EvaluationRecord:
    fields = row._asdict()
    return EvaluationRecord(**json.loads(fields.pop("content")), **fields)
