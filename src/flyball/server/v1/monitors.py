"""Monitors and windows over HTTP."""

from __future__ import annotations

from typing import cast

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import WindowReport
from flyball.monitoring.monitor import Monitor
from flyball.server.proposing import propose
from flyball.server.routing import Call, Route
from flyball.server.v1.windows import revision_infos, window_info
from flyball.wire.v1 import monitors as shapes

MOST_REPORTS = 1_000


def put(call: Call[shapes.MonitorDocument]) -> shapes.MonitorInfo:
    """Set a monitor from its file."""
    return _monitor(call, call.platform.monitors.put(call.body.document, actor=call.actor))


def listing(call: Call[None]) -> shapes.MonitorList:
    """List monitors, and the endpoints that have none."""
    found = call.platform.monitors
    bare = found.unmonitored(call.platform.deployments.list())
    return shapes.MonitorList(
        monitors=[_monitor(call, one) for one in found.list()],
        unmonitored=[
            shapes.Unmonitored(endpoint=one.name, model=one.model, version=one.champion.version) for one in bare
        ],
    )


def propose_one(call: Call[shapes.NewProposal]) -> shapes.Proposal:
    """Propose a monitor for an endpoint, and set it where that is asked for."""
    found = propose(call.platform, call.path["endpoint"])
    if call.body.put:
        call.platform.monitors.put(found.document, actor=call.actor)
    return shapes.Proposal(
        name=found.monitor.name, document=found.document, reasons=dict(found.reasons), put=call.body.put
    )


def reports(call: Call[shapes.ReportQuery]) -> shapes.ReportList:
    """Return what the last windows showed, whole."""
    if not 0 < call.body.limit <= MOST_REPORTS:
        raise InvalidInput(f"between 1 and {MOST_REPORTS} reports can be had at once", field="limit")
    found = call.platform.monitors.reports(call.path["monitor"], limit=call.body.limit)
    return shapes.ReportList(reports=[_report(one) for one in found])


def report(call: Call[None]) -> shapes.ReportInfo:
    """Return the newest report of one window."""
    found = call.platform.monitors.report(call.path["monitor"], _start(call))
    return shapes.ReportInfo(report=_report(found))


def get(call: Call[None]) -> shapes.MonitorInfo:
    """Show a monitor and how far it has looked."""
    return _monitor(call, call.platform.monitors.get(call.path["monitor"]))


def windows(call: Call[None]) -> shapes.WindowList:
    """List what the windows showed."""
    return shapes.WindowList(windows=[window_info(one) for one in call.platform.monitors.reports(call.path["monitor"])])


def revisions(call: Call[None]) -> shapes.RevisionList:
    """List the reports of a window: what each batch of late labels changed."""
    history = call.platform.monitors.report_history(call.path["monitor"], _start(call))
    return shapes.RevisionList(revisions=revision_infos(history))


def _start(call: Call[None]) -> int:
    start = call.path["start_ms"]
    if not (start.isascii() and start.isdigit()):
        raise InvalidInput(f"'{start[:40]}' is no start of a window in milliseconds", field="start_ms")
    return int(start)


def _report(found: WindowReport) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", to_json(found))


def _monitor(call: Call[None] | Call[shapes.MonitorDocument], found: Monitor) -> shapes.MonitorInfo:
    progress = call.platform.monitors.progress(found.name)
    return shapes.MonitorInfo(
        name=found.name,
        endpoint=found.endpoint,
        model=found.model,
        window_ms=found.window_ms,
        label_maturity_ms=found.label_maturity_ms,
        watermark_ms=progress.watermark_ms,
        closed_through_ms=progress.closed_through_ms,
        matured_through_ms=progress.matured_through_ms,
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/monitors",
        permission=Permission.MONITORS_WRITE,
        handler=put,
        request=shapes.MonitorDocument,
        response=shapes.MonitorInfo,
        summary="Set a monitor from its file",
    ),
    Route(
        method="GET",
        path="/api/v1/monitors",
        permission=Permission.MONITORS_READ,
        handler=listing,
        response=shapes.MonitorList,
        summary="List monitors, and the endpoints that no monitor watches",
    ),
    Route(
        method="GET",
        path="/api/v1/monitors/{monitor}",
        permission=Permission.MONITORS_READ,
        handler=get,
        response=shapes.MonitorInfo,
        summary="Show a monitor and how far it has looked",
    ),
    Route(
        method="GET",
        path="/api/v1/monitors/{monitor}/windows",
        permission=Permission.MONITORS_READ,
        handler=windows,
        response=shapes.WindowList,
        summary="List what the windows showed",
    ),
    Route(
        method="POST",
        path="/api/v1/endpoints/{endpoint}/monitor",
        permission=Permission.MONITORS_WRITE,
        handler=propose_one,
        request=shapes.NewProposal,
        response=shapes.Proposal,
        summary="Propose a monitor for an endpoint, and set it if asked to",
    ),
    Route(
        method="GET",
        path="/api/v1/monitors/{monitor}/reports",
        permission=Permission.MONITORS_READ,
        handler=reports,
        request=shapes.ReportQuery,
        response=shapes.ReportList,
        summary="Show the reports of the last windows",
    ),
    Route(
        method="GET",
        path="/api/v1/monitors/{monitor}/reports/{start_ms}",
        permission=Permission.MONITORS_READ,
        handler=report,
        response=shapes.ReportInfo,
        summary="Show the report of one window",
    ),
    Route(
        method="GET",
        path="/api/v1/monitors/{monitor}/reports/{start_ms}/revisions",
        permission=Permission.MONITORS_READ,
        handler=revisions,
        response=shapes.RevisionList,
        summary="List the reports of a window, with the labels that each added",
    ),
)
