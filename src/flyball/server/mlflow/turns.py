"""Which routes of the protocol run in a lane, and how those that come most often are answered together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flyball.kernel.errors import FlyballError
from flyball.server.mlflow import rendering
from flyball.server.mlflow.reading import metric, metrics, pairs, required, run_id_of
from flyball.server.routing import Answer, Call, Lane, Route
from flyball.tracking.access import run_not_found
from flyball.tracking.log_entries import LogEntry
from flyball.wire.mlflow import runs as shapes
from flyball.wire.mlflow.message import Empty

Together = Callable[[Sequence[Call[Any]]], Sequence[Answer | Exception]]


def _of_point(call: Call[Any]) -> LogEntry:
    run_id = required(call.body.run_id or call.body.run_uuid, "run_id")
    return LogEntry.of_point(run_id, metric(call.body), actor=call.actor)


def _of_param(call: Call[Any]) -> LogEntry:
    key = required(call.body.key, "key")
    return LogEntry.of_param(run_id_of(call.body), key, call.body.value or "", actor=call.actor)


def _of_batch(call: Call[Any]) -> LogEntry:
    return LogEntry.of_batch(
        required(call.body.run_id, "run_id"),
        metrics=metrics(call.body.metrics),
        params=pairs(call.body.params, field="params"),
        tags=pairs(call.body.tags, field="tags"),
        actor=call.actor,
    )


def _logged_together(entry_of: Callable[[Call[Any]], LogEntry]) -> Together:
    """Log what many calls sent by one verb; a call that cannot be read has its error and no part in it."""

    def log(calls: Sequence[Call[Any]]) -> list[Answer | Exception]:
        read = [_read(entry_of, call) for call in calls]
        entries = [entry for entry in read if isinstance(entry, LogEntry)]
        errors = iter(calls[0].platform.tracking.log.log_entries(entries))
        return [(next(errors) or Empty()) if isinstance(entry, LogEntry) else entry for entry in read]

    return log


def _read(entry_of: Callable[[Call[Any]], LogEntry], call: Call[Any]) -> LogEntry | FlyballError:
    try:
        return entry_of(call)
    except FlyballError as error:
        return error


def _got_together(calls: Sequence[Call[Any]]) -> list[Answer | Exception]:
    """Load the runs that many calls ask for at once."""
    asked = [call.body.run_id or call.body.run_uuid or "" for call in calls]
    found = calls[0].platform.tracking.runs.get_all([run_id for run_id in dict.fromkeys(asked) if run_id])
    return [_got(call, found) for call in calls]


def _got(call: Call[Any], found: Mapping[str, Any]) -> Answer | Exception:
    try:
        run_id = run_id_of(call.body)
    except FlyballError as error:
        return error
    if run_id not in found:
        return run_not_found(run_id)
    return shapes.RunAnswer(run=rendering.run(found[run_id]))


_SHORT_READS = frozenset({"experiments/get", "experiments/get-by-name", "runs/get"})
_SHORT_WRITES = frozenset(
    {
        "runs/create",
        "runs/update",
        "runs/log-metric",
        "runs/log-parameter",
        "runs/log-batch",
        "runs/log-inputs",
        "runs/outputs",
        "runs/set-tag",
        "runs/delete-tag",
    }
)
_TOGETHER: Mapping[str, Together] = {
    "runs/get": _got_together,
    "runs/log-metric": _logged_together(_of_point),
    "runs/log-parameter": _logged_together(_of_param),
    "runs/log-batch": _logged_together(_of_batch),
}


def in_lanes(routes: Sequence[Route], *, prefix: str) -> tuple[Route, ...]:
    """Put the routes whose work is short into their lanes."""
    return tuple(_in_lane(route, route.path.removeprefix(prefix)) for route in routes)


def _in_lane(route: Route, name: str) -> Route:
    if name in _SHORT_READS:
        return dataclasses.replace(route, lane=Lane.READS, together=_TOGETHER.get(name))
    if name in _SHORT_WRITES:
        return dataclasses.replace(route, lane=Lane.WRITES, together=_TOGETHER.get(name))
    return route
