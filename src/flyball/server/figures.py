"""`/metrics`: what monitoring found last, in the text that Prometheus reads; where else to scrape, and what to do when a rule fires."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from flyball.governance.permissions import Permission
from flyball.kernel.telemetry import CONTENT_TYPE, exposition
from flyball.monitoring.exports.families import families, installation_families, monitor_families
from flyball.monitoring.exports.prometheus import RUNBOOK_PATH, TARGETS_PATH
from flyball.monitoring.exports.runbook import runbook_page
from flyball.server.installation import figures_of
from flyball.server.routing import PUBLIC, Call, Route
from flyball.server.ui.routes import SECURITY
from flyball.wire.v1 import figures as shapes


def metrics(call: Call[None]) -> Response:
    """Tell what monitoring found last."""
    platform = call.platform
    page = exposition(families(figures_of(platform), features=platform.settings.metrics_features))
    return Response(page, headers={"content-type": CONTENT_TYPE})


def listing(call: Call[None]) -> shapes.FigureList:
    """Tell what monitoring found last, as values."""
    figures = figures_of(call.platform)
    told = [*installation_families(figures), *monitor_families(figures.monitors)]
    return shapes.FigureList(
        families=[
            shapes.FamilyInfo(
                name=one.name,
                what=one.what,
                kind=one.kind.value,
                unit=one.unit,
                is_moment=one.is_moment,
                samples=[shapes.SampleInfo(labels=dict(sample.labels), value=sample.value) for sample in one.samples],
            )
            for one in told
        ]
    )


def targets(call: Call[None]) -> Response:
    """Tell Prometheus where the model servers are that live now."""
    platform = call.platform
    found = [
        {"targets": [urlsplit(status.url).netloc], "labels": {"endpoint": one.name, "model": one.model}}
        for one in platform.deployments.list()
        for status in [platform.deployments.find_status(one.name)]
        if status is not None and platform.is_alive(status)
    ]
    return Response(msgspec.json.encode(found), media_type="application/json")


def runbook(_call: Call[None]) -> Response:
    """Serve what to do when an alert rule fires; it is the same in every installation."""
    return Response(runbook_page(), media_type="text/html", headers=SECURITY)


# Names of models and features are no business of everybody: whoever scrapes needs a token.
ROUTES = (
    Route(
        method="GET",
        path="/metrics",
        permission=Permission.MONITORS_READ,
        handler=metrics,
        summary="Tell what monitoring found last, for Prometheus",
    ),
    Route(
        method="GET",
        path="/api/v1/figures",
        permission=Permission.MONITORS_READ,
        handler=listing,
        response=shapes.FigureList,
        summary="Tell what monitoring found last, as values",
    ),
    Route(
        method="GET",
        path=TARGETS_PATH,
        permission=Permission.ENDPOINTS_READ,
        handler=targets,
        summary="Tell where the model servers are, for Prometheus",
    ),
    Route(method="GET", path=RUNBOOK_PATH, permission=PUBLIC, handler=runbook, summary="What to do when a rule fires"),
)
