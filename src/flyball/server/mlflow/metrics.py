"""Metrics of the MLflow protocol."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput
from flyball.server.mlflow import rendering
from flyball.server.mlflow.reading import metric, required
from flyball.server.mlflow.requests import SEE_DOCS
from flyball.server.mlflow.rows import AJAX_PREFIX, row
from flyball.server.routing import Call
from flyball.tracking.run_log import MAX_HISTORY
from flyball.wire.mlflow import metrics as shapes
from flyball.wire.mlflow.message import Empty

MAX_RUNS = 100
"""Runs whose series one request compares."""
MAX_SAMPLE = 2_500
"""Points of one run that are drawn."""


def log(call: Call[shapes.LogMetric]) -> Empty:
    """Log one point of a metric."""
    body = call.body
    run_id = required(body.run_id or body.run_uuid, "run_id")
    call.platform.tracking.log.log_metric(run_id, metric(body), actor=call.actor)
    return Empty()


def history(call: Call[shapes.GetHistory]) -> shapes.History:
    """Return the points of a metric."""
    body = call.body
    page = call.platform.tracking.log.history(
        required(body.run_id or body.run_uuid, "run_id"),
        required(body.metric_key, "metric_key"),
        max_results=body.max_results,
        page_token=body.page_token,
    )
    return shapes.History(metrics=rendering.series(page.items), next_page_token=page.next_token)


def histories(call: Call[shapes.GetHistories]) -> shapes.Histories:
    """Return the points of a metric of several runs."""
    run_ids, asked = call.body.run_id or (), call.body.max_results
    what = "GetMetricHistoryBulk request"
    if not run_ids:
        raise InvalidInput(f"{what} must specify at least one run_id.", field="run_id")
    if len(run_ids) > MAX_RUNS:
        raise InvalidInput(
            f"{what} cannot specify more than {MAX_RUNS} run_ids. Received {len(run_ids)} run_ids.", field="run_id"
        )
    if call.body.metric_key is None:
        raise InvalidInput(f"{what} must specify a metric_key.", field="metric_key")
    if asked is not None and asked < 0:
        raise InvalidInput(f"max_results must not be negative, got {asked}", field="max_results")
    limit = MAX_HISTORY if asked is None else min(asked, MAX_HISTORY)
    points = call.platform.tracking.series.of_runs(run_ids, call.body.metric_key, limit=limit)
    return shapes.Histories(metrics=tuple(rendering.metric(point) for point in points))


def interval(call: Call[shapes.GetInterval]) -> shapes.Interval:
    """Return the points of a metric of several runs, thinned out evenly, perhaps between two steps."""
    body = call.body
    run_ids = required(body.run_ids, "run_ids")
    if len(run_ids) > MAX_RUNS:
        raise InvalidInput(
            f"GetMetricHistoryBulkInterval request must specify at most {MAX_RUNS} run_ids. "
            f"Received {len(run_ids)} run_ids.{SEE_DOCS}",
            field="run_ids",
        )
    key = required(body.metric_key, "metric_key")
    limit = MAX_SAMPLE if body.max_results is None else body.max_results
    if not 1 <= limit <= MAX_SAMPLE:
        raise InvalidInput(f"max_results must be between 1 and {MAX_SAMPLE}.{SEE_DOCS}", field="max_results")
    steps = _steps(body)
    series = call.platform.tracking.series
    points = [point for run_id in run_ids for point in series.sample(run_id, key, limit=limit, steps=steps)]
    return shapes.Interval(metrics=tuple(rendering.metric(point) for point in points))


def _steps(body: shapes.GetInterval) -> tuple[int, int] | None:
    start, end = body.start_step, body.end_step
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise InvalidInput(
            "If either start step or end step are specified, both must be specified.", field="start_step"
        )
    if start > end:
        raise InvalidInput(
            f"end_step must be greater than start_step. Found start_step={start} and end_step={end}.", field="end_step"
        )
    return start, end


_READ = Permission.TRACKING_READ
_LOG, _ASKED, _THINNED = shapes.LogMetric, shapes.GetHistory, shapes.GetInterval
_INTERVAL = "metrics/get-history-bulk-interval"

ROUTES = (
    row("POST", "runs/log-metric", permission=Permission.TRACKING_WRITE, handler=log, request=_LOG, response=Empty),
    row("GET", "metrics/get-history", permission=_READ, handler=history, request=_ASKED, response=shapes.History),
    row(
        "GET",
        AJAX_PREFIX + "metrics/get-history-bulk",
        permission=_READ,
        handler=histories,
        request=shapes.GetHistories,
        response=shapes.Histories,
    ),
    row("GET", _INTERVAL, permission=_READ, handler=interval, request=_THINNED, response=shapes.Interval),
    # Where the protocol's descriptor has it.
    row(
        "GET",
        f"/api/2.11/mlflow/{_INTERVAL}",
        permission=_READ,
        handler=interval,
        request=_THINNED,
        response=shapes.Interval,
    ),
)
