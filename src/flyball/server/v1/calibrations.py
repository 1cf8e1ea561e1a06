"""Calibrations of monitors over HTTP, and backtests: both are asked for here and computed by the worker."""

from __future__ import annotations

import msgspec

from flyball.governance.permissions import Permission
from flyball.monitoring.backtest.incidents import parse_incidents
from flyball.monitoring.calibration.entities import FeatureCalibration, KeptCalibration
from flyball.monitoring.calibration.verbs import CalibrationRequest
from flyball.monitoring.multivariate.entities import JointCalibration
from flyball.monitoring.studies.entities import BacktestRequest
from flyball.server.routing import Call, Route
from flyball.server.v1.studies import calibration_info, study_info
from flyball.wire.v1 import calibrations as shapes

ACCEPTED = 202


def calibrate(call: Call[shapes.CalibrateBody]) -> shapes.StudyInfo:
    """Have a monitor's alarms calibrated on what its endpoint has served."""
    body = call.body
    request = CalibrationRequest(since_ms=body.since_ms, until_ms=body.until_ms, version=body.version)
    return study_info(call.platform.studies.calibrate(call.path["monitor"], request, actor=call.actor))


def get(call: Call[None]) -> shapes.CalibrationInfo:
    """Show the calibration that the alarms of the version in charge rest on."""
    monitors = call.platform.monitors
    return calibration_info(monitors.calibrations.find(monitors.get(call.path["monitor"])))


def history(call: Call[shapes.CalibrationQuery]) -> shapes.CalibrationList:
    """List a monitor's calibrations."""
    monitors = call.platform.monitors
    found = monitors.calibrations.history(monitors.get(call.path["monitor"]), limit=call.body.limit)
    return shapes.CalibrationList(calibrations=[_summary(one) for one in found])


def backtest(call: Call[shapes.BacktestBody]) -> shapes.StudyInfo:
    """Have a monitor's file replayed over its endpoint's prediction log."""
    body = call.body
    given = [
        {key: value for key, value in msgspec.to_builtins(one).items() if value is not None} for one in body.incidents
    ]
    request = BacktestRequest(
        document=body.document,
        against=body.against,
        reference_until_ms=body.reference_until_ms,
        incidents=tuple(parse_incidents(given)),
    )
    return study_info(call.platform.studies.backtest(request, actor=call.actor))


def _together(joint: JointCalibration | None) -> list[shapes.ThresholdInfo]:
    """Return the thresholds of features together, each with what is usual against the training data as its skew."""
    found = () if joint is None else joint.thresholds
    return [
        shapes.ThresholdInfo(feature=one.subject, measure=one.measure, threshold=one.threshold, skew=one.usual)
        for one in found
    ]


def _uncalibrated(joint: JointCalibration | None) -> dict[str, str]:
    return {} if joint is None or not joint.reason else {"features together": joint.reason}


def _summary(kept: KeptCalibration) -> shapes.CalibrationSummary:
    found, check = kept.calibration, kept.calibration.backcheck
    return shapes.CalibrationSummary(
        digest=kept.digest,
        version=found.version,
        created_ms=kept.created_ms,
        false_alarms=found.false_alarms,
        false_discoveries=found.false_discoveries,
        rate=found.rate,
        rate_lower=found.rate_lower,
        rate_upper=found.rate_upper,
        history_start_ms=found.history_start_ms,
        history_end_ms=found.history_end_ms,
        windows=found.windows,
        needed=found.needed,
        method=found.method,
        reason=found.reason,
        cycles=[str(one) for one in found.cycles],
        unmatched=dict(found.unmatched),
        uncalibrated={**found.uncalibrated, **_uncalibrated(found.joint)},
        thresholds=[*(_threshold(one) for one in found.features), *_together(found.joint)],
        backcheck=None
        if check is None
        else shapes.BackcheckInfo(windows=check.windows, alarms=check.alarms, holds=check.holds),
        statements=[one.text for one in found.power],
    )


def _threshold(found: FeatureCalibration) -> shapes.ThresholdInfo:
    bins = found.bins
    return shapes.ThresholdInfo(feature=bins.feature, measure=bins.measure, threshold=found.threshold, skew=found.skew)


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/monitors/{monitor}/calibration",
        permission=Permission.MONITORS_WRITE,
        handler=calibrate,
        request=shapes.CalibrateBody,
        response=shapes.StudyInfo,
        status=ACCEPTED,
        summary="Have a monitor's alarms calibrated on its own history, in the background",
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
        method="GET",
        path="/api/v1/monitors/{monitor}/calibrations",
        permission=Permission.MONITORS_READ,
        handler=history,
        request=shapes.CalibrationQuery,
        response=shapes.CalibrationList,
        summary="List a monitor's calibrations",
    ),
    Route(
        method="POST",
        path="/api/v1/backtests",
        permission=Permission.MONITORS_WRITE,
        handler=backtest,
        request=shapes.BacktestBody,
        response=shapes.StudyInfo,
        status=ACCEPTED,
        summary="Have a monitor's file replayed over its endpoint's predictions, in the background",
    ),
)
