"""Runs, beyond what the MLflow protocol has."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.server.routing import Call, Route
from flyball.wire.mlflow.message import finite
from flyball.wire.v1 import runs as shapes


def curve(call: Call[shapes.CurveQuery]) -> shapes.CurveShape:
    """Draw a metric in a few points, its extremes among them."""
    drawn = call.platform.tracking.log.draw(call.path["run_id"], call.body.key, points=call.body.points)
    points = [
        shapes.CurvePointShape(step=point.step, timestamp_ms=point.timestamp_ms, value=finite(point.value))
        for point in drawn.points
    ]
    return shapes.CurveShape(key=drawn.key, count=drawn.count, points=points)


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/runs/{run_id}/curve",
        permission=Permission.TRACKING_READ,
        handler=curve,
        request=shapes.CurveQuery,
        response=shapes.CurveShape,
        summary="Draw a metric in a few points, its extremes among them",
    ),
)
