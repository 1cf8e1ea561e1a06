"""Pipeline runs on a database."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import cast

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from flyball.kernel.canonical import Digest, JsonValue, canonical_json
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, Conflict
from flyball.pipelines.entities import CachedOutput, PipelineRun, RunState, StepRun, StepState, Value, ValueKind
from flyball.pipelines.tables import pipeline_outputs, pipeline_runs, pipeline_steps
from flyball.pipelines.values import parse_json


class SqlPipelineStore:
    """Runs, steps and cached outputs as rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: PipelineRun) -> None:
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(pipeline_runs), _run_row(run))
        except IntegrityError as error:
            raise AlreadyExists(f"there is a pipeline run '{run.id}' already", field="id") from error

    def find(self, run_id: str) -> PipelineRun | None:
        with self._database.read() as connection:
            row = connection.execute(select(pipeline_runs).where(pipeline_runs.c.id == run_id)).first()
            return _runs(connection, [row])[0] if row else None

    def list(
        self, *, state: RunState | None = None, pipeline: str | None = None, limit: int = 100
    ) -> list[PipelineRun]:
        query = select(pipeline_runs).order_by(pipeline_runs.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(pipeline_runs.c.state == state)
        if pipeline is not None:
            query = query.where(pipeline_runs.c.pipeline == pipeline)
        with self._database.read() as connection:
            return _runs(connection, connection.execute(query).all())

    def change(self, run: PipelineRun, *, expected: RunState) -> None:
        same = and_(pipeline_runs.c.id == run.id, pipeline_runs.c.state == expected)
        with self._database.transaction() as connection:
            done = connection.execute(update(pipeline_runs).where(same).values(**_run_row(run)))
            if done.rowcount == 0:
                raise Conflict(f"pipeline run '{run.id}' is not {expected} any more", field="state")

    def set_steps(self, run_id: str, steps: tuple[StepRun, ...]) -> None:
        with self._database.transaction() as connection:
            connection.execute(delete(pipeline_steps).where(pipeline_steps.c.run_id == run_id))
            if steps:
                connection.execute(insert(pipeline_steps), [_step_row(run_id, step) for step in steps])

    def set_step(self, run_id: str, step: StepRun) -> None:
        place = and_(pipeline_steps.c.run_id == run_id, pipeline_steps.c.position == step.position)
        with self._database.transaction() as connection:
            connection.execute(update(pipeline_steps).where(place).values(**_step_row(run_id, step)))

    def find_output(self, key: Digest, *, scope: str) -> CachedOutput | None:
        query = select(pipeline_outputs).where(_at(key, scope))
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        value = Value(kind=ValueKind(row.kind), digest=Digest(row.digest), size_bytes=row.size_bytes)
        return CachedOutput(value=value, run_id=row.run_id)

    def keep_output(self, key: Digest, output: CachedOutput, *, scope: str) -> None:
        values = {**dataclasses.asdict(output.value), "run_id": output.run_id}
        dialect_insert = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
        row = dialect_insert(pipeline_outputs).values(key=key, scope=scope, **values)
        with self._database.transaction() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["key", "scope"], set_=values))


def _at(key: Digest, scope: str) -> ColumnElement[bool]:
    return and_(pipeline_outputs.c.key == key, pipeline_outputs.c.scope == scope)


def _run_row(run: PipelineRun) -> dict[str, object]:
    row = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    del row["steps"]
    row["parameters"] = canonical_json(run.parameters).decode()
    row["result"] = canonical_json(run.result).decode()
    return row


def _step_row(run_id: str, step: StepRun) -> dict[str, object]:
    row = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
    output: Value | None = row.pop("output")
    row["run_id"] = run_id
    row["output_kind"] = output.kind if output else None
    row["output_digest"] = output.digest if output else None
    row["output_bytes"] = output.size_bytes if output else None
    return row


def _runs(connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> list[PipelineRun]:
    """Build runs with their steps, in two statements whatever their number."""
    chosen = pipeline_steps.c.run_id.in_([row.id for row in rows])
    steps: dict[str, list[StepRun]] = {}
    for row in connection.execute(select(pipeline_steps).where(chosen).order_by(pipeline_steps.c.position)):
        steps.setdefault(row.run_id, []).append(_step(row))
    return [_run(row, tuple(steps.get(row.id, ()))) for row in rows]


def _run(row: Row[tuple[object, ...]], steps: tuple[StepRun, ...]) -> PipelineRun:
    return PipelineRun(
        id=row.id,
        pipeline=row.pipeline,
        parameters=cast("Mapping[str, JsonValue]", parse_json(row.parameters)),
        state=RunState(row.state),
        actor=row.actor,
        created_ms=row.created_ms,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        attempt=row.attempt,
        steps=steps,
        result=parse_json(row.result),
        error=row.error,
        log_digest=_digest(row.log_digest),
    )


def _step(row: Row[tuple[object, ...]]) -> StepRun:
    output = None
    if row.output_digest is not None:
        output = Value(kind=ValueKind(row.output_kind), digest=Digest(row.output_digest), size_bytes=row.output_bytes)
    return StepRun(
        position=row.position,
        name=row.name,
        step=row.step,
        state=StepState(row.state),
        key=_digest(row.key),
        cached=row.cached,
        cached_from=row.cached_from,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        output=output,
        log_digest=_digest(row.log_digest),
        error=row.error,
    )


def _digest(text: str | None) -> Digest | None:
    return Digest(text) if text is not None else None
