"""Metrics of the MLflow protocol."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.server.mlflow import rendering
from flyball.server.mlflow.reading import metric, required
from flyball.server.mlflow.rows import row
from flyball.server.routing import Call
from flyball.wire.mlflow import metrics as shapes
from flyball.wire.mlflow.message import Empty


def log(call: Call[shapes.LogMetric]) -> Empty:
    """Log one point of a metric."""
    body = call.body
    run_id = required(body.run_id or body.run_uuid, "run_id")
    call.platform.tracking.log.log_batch(run_id, metrics=[metric(body)], actor=call.actor)
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
    return shapes.History(
        metrics=tuple(rendering.metric(point) for point in page.items), next_page_token=page.next_token
    )


ROUTES = (
    row(
        "POST",
        "runs/log-metric",
        permission=Permission.TRACKING_WRITE,
        handler=log,
        request=shapes.LogMetric,
        response=Empty,
    ),
    row(
        "GET",
        "metrics/get-history",
        permission=Permission.TRACKING_READ,
        handler=history,
        request=shapes.GetHistory,
        response=shapes.History,
    ),
)
