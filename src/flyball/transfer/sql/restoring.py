"""Put the rows of an export back into an empty database, the chain of events as it was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, insert, select, text

from flyball.kernel.canonical import canonical_json
from flyball.kernel.db import Database
from flyball.kernel.events import Event
from flyball.kernel.events.tables import edges, events
from flyball.tracking.entities import ExperimentId, Metric, RunId, RunInfo, RunStatus
from flyball.tracking.ports import MetricStore
from flyball.tracking.tables import experiments, runs
from flyball.transfer.sql.exported import INPUTS, METRICS, ExportedTable

_LINK = text(
    "INSERT INTO run_datasets (run_id, dataset_id, context, tags) SELECT :run_id, dataset_id, :context, :tags "
    "FROM logged_datasets WHERE experiment_id = :experiment_id AND name = :name AND digest = :digest"
)
Record = Mapping[str, object]


def is_empty(database: Database) -> bool:
    """Tell whether nothing has happened here yet."""
    with database.read() as connection:
        found = [connection.execute(select(each).limit(1)).first() for each in (events, experiments, runs)]
    return not any(found)


def restore_rows(
    connection: Connection, exported: ExportedTable, records: Sequence[Record], *, metrics: MetricStore
) -> None:
    """Insert a batch of one table."""
    if exported is METRICS:
        metrics.add(_points(records))
    elif exported is INPUTS:
        connection.execute(_LINK, [dict(record) for record in records])
    elif exported.home is not None:
        split = "is_nan" in exported.home.c
        connection.execute(insert(exported.home), [_split(record) if split else dict(record) for record in records])


def restore_events(connection: Connection, chain: Iterable[Event]) -> None:
    """Insert events under their own numbers and digests, and their edges for walking."""
    for event in chain:
        content = event.content()
        row = {
            **content,
            "payload": canonical_json(dict(event.payload)).decode(),
            "edges": canonical_json(content["edges"]).decode(),
            "digest": event.digest,
        }
        connection.execute(insert(events), row)
        if event.edges:
            rows = [
                {"seq": event.seq, "position": at, "subject": e.subject, "relation": e.relation, "object": e.object}
                for at, e in enumerate(event.edges)
            ]
            connection.execute(insert(edges), rows)


def _split(record: Record) -> dict[str, object]:
    value = record["value"]
    is_nan = isinstance(value, float) and math.isnan(value)
    return {**record, "value": 0.0 if is_nan else value, "is_nan": is_nan}


def _points(records: Iterable[Record]) -> list[tuple[RunInfo, list[Metric]]]:
    found: dict[str, tuple[RunInfo, list[Metric]]] = {}
    for record in records:
        run_id = str(record["run_id"])
        if run_id not in found:
            found[run_id] = (_owner(run_id, str(record["experiment_id"])), [])
        found[run_id][1].append(
            Metric(
                key=str(record["key"]),
                value=float(str(record["value"])),
                timestamp_ms=int(str(record["timestamp_ms"])),
                step=int(str(record["step"])),
            )
        )
    return list(found.values())


def _owner(run_id: str, experiment_id: str) -> RunInfo:
    """Name a run to the store of metrics, which asks for nothing but the ids."""
    return RunInfo(
        run_id=RunId(run_id),
        experiment_id=ExperimentId(experiment_id),
        name="",
        user_id="",
        status=RunStatus.RUNNING,
        start_ms=0,
        artifact_uri="",
    )
