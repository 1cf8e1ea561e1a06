"""Calibrations of monitors over HTTP."""

from __future__ import annotations

from typing import cast

import msgspec

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import JsonValue
from flyball.monitoring.backtest.incidents import parse_incidents
from flyball.monitoring.calibration.entities import Calibration
from flyball.monitoring.calibration.verbs import CalibrationRequest
from flyball.monitoring.codec import to_json
from flyball.monitoring.service import no_fence
from flyball.server.routing import Call, Route
from flyball.wire.v1 import calibrations as shapes


def calibrate(call: Call[shapes.CalibrateBody]) -> shapes.CalibrationInfo:
    """Calibrate a monitor's alarms on what its endpoint has served."""
    monitors, body = call.platform.monitors, call.body
    request = CalibrationRequest(since_ms=body.since_ms, until_ms=body.until_ms, version=body.version)
    monitor = monitors.get(call.path["monitor"])
    return _info(monitors.calibrations.run(monitor, request, actor=call.actor, fence=no_fence))


def get(call: Call[None]) -> shapes.CalibrationInfo:
    """Show the calibration that the alarms of the version in charge rest on."""
    monitors = call.platform.monitors
    return _info(monitors.calibrations.find(monitors.get(call.path["monitor"])))


def backtest(call: Call[shapes.BacktestBody]) -> shapes.BacktestInfo:
    """Replay a monitor's file over its endpoint's prediction log."""
    body = call.body
    given = [
        {key: value for key, value in msgspec.to_builtins(one).items() if value is not None} for one in body.incidents
    ]
    found = call.platform.monitors.backtest(
        body.document,
        against=body.against,
        reference_until_ms=body.reference_until_ms,
        incidents=parse_incidents(given),
    )
    return shapes.BacktestInfo(result=found.to_json())


def _info(found: Calibration) -> shapes.CalibrationInfo:
    return shapes.CalibrationInfo(
        digest=found.digest,
        calibration=cast("dict[str, JsonValue]", to_json(found)),
        statements=[one.text for one in found.power],
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/monitors/{monitor}/calibration",
        permission=Permission.MONITORS_WRITE,
        handler=calibrate,
        request=shapes.CalibrateBody,
        response=shapes.CalibrationInfo,
        summary="Calibrate a monitor's alarms on its own history",
    ),
    Route(
        method="GET",
        path="/api/v1/monitors/{monitor}/calibration",
        permission=Permission.MONITORS_READ,
        handler=get,
        response=shapes.CalibrationInfo,
        summary="Show what a monitor's alarms rest on",
    ),
    Route(
        method="POST",
        path="/api/v1/backtests",
        permission=Permission.MONITORS_READ,
        handler=backtest,
        request=shapes.BacktestBody,
        response=shapes.BacktestInfo,
        summary="Replay a monitor's file over its endpoint's predictions",
    ),
)
