"""Studies over HTTP: how far calibrations and backtests in the background are, and what came of them."""

from __future__ import annotations

from typing import cast

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import JsonValue
from flyball.monitoring.calibration.entities import Calibration
from flyball.monitoring.codec import to_json
from flyball.monitoring.studies.entities import Study, StudyKind, StudyState
from flyball.server.routing import Call, Route
from flyball.server.v1.choosing import following, one_of
from flyball.wire.v1 import calibrations as shapes

PREFIX = "/api/v1/studies"


def listing(call: Call[shapes.StudyQuery]) -> shapes.StudyList:
    """List studies."""
    asked = call.body
    state = one_of(StudyState, asked.state, field="state")
    found = call.platform.studies.list(
        states=() if state is None else (state,),
        kind=one_of(StudyKind, asked.kind, field="kind"),
        monitor=asked.monitor or None,
        before=asked.before,
        limit=asked.limit,
    )
    return shapes.StudyList(
        studies=[study_info(one) for one in found], next=following([one.id for one in found], asked.limit)
    )


def get(call: Call[None]) -> shapes.StudyInfo:
    """Show a study."""
    return study_info(call.platform.studies.get(call.path["study"]))


def result(call: Call[None]) -> shapes.StudyResult:
    """Return what came of a study."""
    found = call.platform.studies.result(call.path["study"])
    if isinstance(found, Calibration):
        return shapes.StudyResult(calibration=calibration_info(found))
    return shapes.StudyResult(backtest=found.to_json())


def cancel(call: Call[None]) -> shapes.StudyInfo:
    """End a study."""
    return study_info(call.platform.studies.cancel(call.path["study"], actor=call.actor))


def study_info(found: Study) -> shapes.StudyInfo:
    """Return a study in the shape of the API."""
    return shapes.StudyInfo(
        id=found.id,
        kind=found.kind,
        monitor=found.monitor,
        state=found.state,
        actor=found.actor,
        created_ms=found.created_ms,
        started_ms=found.started_ms,
        ended_ms=found.ended_ms,
        attempts=found.attempts,
        stage=found.stage,
        done=found.done,
        total=found.total,
        error=found.error,
        error_code=found.error_code,
        href=f"{PREFIX}/{found.id}",
    )


def calibration_info(found: Calibration) -> shapes.CalibrationInfo:
    """Return a calibration in the shape of the API."""
    return shapes.CalibrationInfo(
        digest=found.digest,
        calibration=cast("dict[str, JsonValue]", to_json(found)),
        statements=[one.text for one in found.power],
    )


ROUTES = (
    Route(
        method="GET",
        path=PREFIX,
        permission=Permission.MONITORS_READ,
        handler=listing,
        request=shapes.StudyQuery,
        response=shapes.StudyList,
        summary="List calibrations and backtests in the background",
    ),
    Route(
        method="GET",
        path=PREFIX + "/{study}",
        permission=Permission.MONITORS_READ,
        handler=get,
        response=shapes.StudyInfo,
        summary="Show how far a calibration or backtest is",
    ),
    Route(
        method="GET",
        path=PREFIX + "/{study}/result",
        permission=Permission.MONITORS_READ,
        handler=result,
        response=shapes.StudyResult,
        summary="Show what came of a calibration or backtest",
    ),
    Route(
        method="POST",
        path=PREFIX + "/{study}/cancel",
        permission=Permission.MONITORS_WRITE,
        handler=cancel,
        response=shapes.StudyInfo,
        summary="Cancel a calibration or backtest",
    ),
)
