"""`/metrics`: what monitoring found last, in the text that Prometheus reads."""

from __future__ import annotations

from starlette.responses import Response

from flyball.governance.permissions import Permission
from flyball.kernel.telemetry import CONTENT_TYPE, exposition
from flyball.monitoring.exports.families import families
from flyball.server.routing import Call, Route


def metrics(call: Call[None]) -> Response:
    """Tell what monitoring found last."""
    platform = call.platform
    page = exposition(families(platform.figures(), features=platform.settings.metrics_features))
    return Response(page, headers={"content-type": CONTENT_TYPE})


# Names of models and features are no business of everybody: whoever scrapes needs a token.
ROUTES = (
    Route(
        method="GET",
        path="/metrics",
        permission=Permission.MONITORS_READ,
        handler=metrics,
        summary="Tell what monitoring found last, for Prometheus",
    ),
)
