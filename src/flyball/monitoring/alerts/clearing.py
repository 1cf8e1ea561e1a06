"""When an alert is over by itself: enough windows in a row that are clear of what it is about. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from flyball.measures.groups import Fairness
from flyball.measures.metrics import Better
from flyball.monitoring.alerts.rules import AlertRules, ResolvedBy
from flyball.monitoring.entities import Alert, AlertKind, QualityVerdict, WindowReport
from flyball.monitoring.figures import ConceptVerdict
from flyball.monitoring.findings import JOINT, shown
from flyball.monitoring.online.causes import ERROR_RISE
from flyball.monitoring.online.rules import Watch

DATA, DRIFT = "data", "drift"


def is_over(alert: Alert, reports: Sequence[WindowReport], rules: AlertRules) -> bool:
    """Tell whether the newest judged windows after the alert's own are clear, as many as the rules ask for.

    Args:
        alert: an active alert.
        reports: the newest report of each window, by start.
        rules: who resolves, and after how much.
    """
    if rules.resolved_by is not ResolvedBy.MONITOR or alert.kind is AlertKind.CAPTURE_LOSS:
        return False
    later = [report for report in reports if report.start_ms > alert.start_ms]
    judged = [clear for report in later if (clear := is_clear(alert, report, share=rules.clear_share)) is not None]
    return len(judged) >= rules.clear_windows and all(judged[-rules.clear_windows :])


def is_clear(alert: Alert, report: WindowReport, *, share: float) -> bool | None:
    """Tell whether a window is clear of what an alert is about; None when the window could not be judged for it."""
    if alert.kind in shown(report):
        return False
    if alert.kind is AlertKind.DATA_FAULT:
        return None if DATA in report.unknown else True
    if alert.kind is AlertKind.COVARIATE_DRIFT:
        return None if DRIFT in report.unknown else _drift_is_clear(alert, report, share=share)
    if alert.kind is AlertKind.QUALITY_DROP:
        return _quality_is_clear(report, share=share)
    if alert.kind is AlertKind.LASTING_CHANGE:
        return _is_level(alert, report)
    return True if _was_judged(alert.kind, report) else None


def _was_judged(kind: AlertKind, report: WindowReport) -> bool:
    """Tell whether a window that does not show a kind says that it is not there."""
    if kind is AlertKind.CONCEPT:
        return report.concept is not None and report.concept.verdict is not ConceptVerdict.UNKNOWN
    if kind is AlertKind.BIAS:
        return bool(report.groups) and all(one.verdict is Fairness.WITHIN for one in report.groups)
    return str(kind) not in report.unknown


def _is_level(alert: Alert, report: WindowReport) -> bool | None:
    """Tell whether the detectors that found the change judged this window; None while they learn the new level, or lack labels."""
    suspects = {(cause.feature, cause.kind == ERROR_RISE) for cause in alert.causes}
    mine = [one for one in report.online if (one.feature, one.watch is Watch.ERROR) in suspects]
    return True if mine and all(one.took and not one.reason for one in mine) else None


def _drift_is_clear(alert: Alert, report: WindowReport, *, share: float) -> bool:
    suspects = {cause.feature for cause in alert.causes}
    if any(cause.kind == JOINT for cause in alert.causes) and any(joint.strength > share for joint in report.joint):
        return False
    return all(drift.strength <= share for drift in report.drift if drift.feature in suspects)


def _quality_is_clear(report: WindowReport, *, share: float) -> bool | None:
    quality = report.quality
    if quality is None or quality.verdict is QualityVerdict.UNKNOWN:
        return None
    assert quality.value is not None, "what was judged has a value"
    baseline = quality.baseline or 0.0
    worse = {
        Better.HIGHER: baseline - quality.value,
        Better.LOWER: quality.value - baseline,
        Better.ZERO: abs(quality.value) - abs(baseline),
    }
    return worse[quality.better] <= share * quality.tolerance
