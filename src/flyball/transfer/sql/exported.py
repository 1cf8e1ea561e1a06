"""What an export holds, table by table, in words that stay when our own tables change: no number that only joins rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Integer,
    Select,
    Table,
    Text,
    collate,
    func,
    inspect,
    or_,
    select,
    table,
    union,
)

from flyball.artifacts.tables import artifact_names
from flyball.datasets.tables import dataset_versions, datasets
from flyball.kernel.events.tables import events
from flyball.registry import tables as registry
from flyball.tracking import tables as tracking
from flyball.transfer.tables import imported_things

BATCH = 50_000
# Whose files are exported; those of pipelines and of prediction logs belong to tables that are not.
ROOTS = ("run/", "model/", "dataset/", "import/")
# What only speeds up, or repeats, what is exported.
DERIVED = frozenset({"alembic_version", "edges", "leases", "metric_points", "metric_series", "metric_blocks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTable:
    """A table of the export: its name, its columns with their types in words, and the table that rows go back to."""

    name: str
    columns: Mapping[str, str]
    query: Select[tuple[object, ...]]
    order: tuple[ColumnElement[Any], ...]
    home: Table | None


def _kind(column: Column[object]) -> str:
    if isinstance(column.type, Boolean):
        return "bool"
    if isinstance(column.type, Double):
        return "float64"
    return "int64" if isinstance(column.type, BigInteger | Integer) else "string"


def _plain(name: str, home: Table, *, order: Sequence[str] = (), leave_out: Sequence[str] = ()) -> ExportedTable:
    """Export a table as it is, NaN as NaN, in the order of its key."""
    kept = [column for column in home.columns if column.name not in leave_out]
    keys = [home.c[key] for key in order] if order else list(home.primary_key.columns)
    return ExportedTable(
        name=name,
        columns={column.name: _kind(column) for column in kept if column.name != "is_nan"},
        query=select(*kept),
        order=tuple(keys),
        home=home,
    )


_points, _series = tracking.metric_points.c, tracking.metric_series.c
METRICS = ExportedTable(
    name="metrics",
    columns={
        "run_id": "string",
        "experiment_id": "int64",
        "key": "string",
        "timestamp_ms": "int64",
        "step": "int64",
        "value": "float64",
    },
    query=select(
        _series.run_id,
        _series.experiment_id,
        _series.key,
        _points.timestamp_ms,
        _points.step,
        _points.value,
        _points.is_nan,
    ).join(tracking.metric_series, _series.series_id == _points.series_id),
    order=(_series.run_id, _series.key, _points.timestamp_ms, _points.step, _points.value, _points.is_nan),
    home=None,
)
_links, _described = tracking.run_datasets.c, tracking.logged_datasets.c
INPUTS = ExportedTable(
    name="inputs",
    columns={
        "run_id": "string",
        "experiment_id": "int64",
        "name": "string",
        "digest": "string",
        "context": "string",
        "tags": "string",
    },
    query=select(
        _links.run_id, _described.experiment_id, _described.name, _described.digest, _links.context, _links.tags
    ).join(tracking.logged_datasets, _described.dataset_id == _links.dataset_id),
    order=(_links.run_id, _described.name, _described.digest),
    home=None,
)
_names = artifact_names.c
ARTIFACTS = _plain("artifacts", artifact_names)

# In an order in which rows can go back: what is pointed at comes first.
EXPORTED: tuple[ExportedTable, ...] = (
    _plain("experiments", tracking.experiments),
    _plain("experiment_tags", tracking.experiment_tags),
    _plain("runs", tracking.runs),
    _plain("params", tracking.run_params),
    _plain("tags", tracking.run_tags),
    METRICS,
    _plain(
        "logged_datasets",
        tracking.logged_datasets,
        order=("experiment_id", "name", "digest"),
        leave_out=("dataset_id",),
    ),
    INPUTS,
    _plain("run_models", tracking.run_models),
    _plain("logged_models", tracking.logged_models),
    _plain("logged_model_tags", tracking.logged_model_tags),
    _plain("logged_model_params", tracking.logged_model_params),
    _plain("logged_model_metrics", tracking.logged_model_metrics),
    _plain("registered_models", registry.registered_models),
    _plain("version_counters", registry.version_counters),
    _plain("registered_model_tags", registry.model_tags),
    _plain("model_versions", registry.model_versions),
    _plain("model_version_tags", registry.model_version_tags),
    _plain("aliases", registry.model_aliases),
    _plain("model_version_evidence", registry.model_version_evidence),
    _plain("policies", registry.policies),
    _plain("decisions", registry.decisions),
    _plain("datasets", datasets),
    _plain("dataset_versions", dataset_versions),
    ARTIFACTS,
    _plain("imported_things", imported_things),
    _plain("events", events),
)


def read_table(connection: Connection, exported: ExportedTable) -> Iterator[list[tuple[object, ...]]]:
    """Yield the rows of a table in batches, in an order that is the same on every database."""
    query = exported.query.order_by(*(_by_code(connection, key) for key in exported.order))
    if exported is ARTIFACTS:
        query = query.where(or_(*(_names.root.startswith(root, autoescape=True) for root in ROOTS)))
    names = [column.name for column in query.selected_columns]
    with connection.execute(query.execution_options(yield_per=BATCH)) as result:
        for rows in result.partitions():
            yield _with_nan(names, rows) if "is_nan" in names else [tuple(row) for row in rows]


def read_digests(connection: Connection) -> Iterator[list[str]]:
    """Yield the digest of every blob that the export's rows point at, once, sorted, in batches."""
    versions, evidence = dataset_versions.c, registry.model_version_evidence.c
    parts = [
        select(_names.digest).where(or_(*(_names.root.startswith(root, autoescape=True) for root in ROOTS))),
        select(versions.profile_digest),
        select(evidence.digest),
        select(registry.decisions.c.evidence_digest),
    ]
    every = union(*parts).subquery()
    query = select(every.c[0]).order_by(_by_code(connection, every.c[0])).execution_options(yield_per=BATCH)
    with connection.execute(query) as result:
        for rows in result.partitions():
            yield [row[0] for row in rows]


def count_left_out(connection: Connection) -> dict[str, int]:
    """Count the rows of every table that is not in the export."""
    taken = {each.home.name for each in EXPORTED if each.home is not None} | {"run_datasets"}
    left: dict[str, int] = {}
    for name in sorted(set(inspect(connection).get_table_names()) - taken - DERIVED):
        count = int(connection.execute(select(func.count()).select_from(table(name))).scalar_one())
        if count:
            left[name] = count
    return left


def _by_code(connection: Connection, key: ColumnElement[Any]) -> ColumnElement[Any]:
    """Sort text by code point, whatever the locale of the database."""
    if connection.dialect.name == "postgresql" and isinstance(key.type, Text):
        return collate(key, "C")
    return key


def _with_nan(names: Sequence[str], rows: Sequence[Sequence[object]]) -> list[tuple[object, ...]]:
    value, is_nan = names.index("value"), names.index("is_nan")
    kept = [at for at in range(len(names)) if at != is_nan]
    return [tuple(math.nan if at == value and row[is_nan] else row[at] for at in kept) for row in rows]
