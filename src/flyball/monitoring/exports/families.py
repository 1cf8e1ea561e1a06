"""The figures of monitoring as families of samples: which there are, what they are called, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import flyball
from flyball.kernel.telemetry import Family, FamilyKind, Sample
from flyball.monitoring.entities import AlertKind, WindowReport
from flyball.monitoring.exports.figures import Figures, MonitorFigures, Standing
from flyball.monitoring.exports.joint import joint_families
from flyball.monitoring.exports.per_feature import feature_families
from flyball.monitoring.exports.quality import part_families, quality_families
from flyball.monitoring.exports.rate import rate_families

PREFIX = "flyball_monitor"
MS_PER_S = 1000
# What no monitor finds: it is about an endpoint, whether somebody watches it or not.
KINDS_OF_ENDPOINTS = (AlertKind.CAPTURE_LOSS,)


def families(figures: Figures, *, features: int) -> list[Family]:
    """Return the families; at most `features` features of a monitor are told one by one, the others counted."""
    return [
        *installation_families(figures),
        *monitor_families(figures.monitors),
        *feature_families(figures.monitors, most=features),
        *joint_families(figures.monitors, most=features),
        *part_families(figures.monitors, most=features),
    ]


def installation_families(figures: Figures) -> Iterator[Family]:
    """Yield what is known of the installation and its endpoints."""
    build = Sample(labels={"version": flyball.__version__}, value=1)
    yield Family(name="flyball_build_info", what="1, with the version of the platform.", samples=[build])
    endpoints = figures.endpoints
    yield Family(
        name="flyball_endpoint_monitors",
        unit="{monitor}",
        what="Monitors that watch an endpoint; 0 is a model in production that nobody watches.",
        samples=[Sample(labels=one.labels, value=one.monitors) for one in endpoints],
    )
    yield Family(
        name="flyball_endpoint_alerts",
        unit="{alert}",
        what="Alerts about an endpoint's prediction log that are not resolved, by kind and state.",
        samples=[
            Sample(
                labels={**one.labels, "kind": kind.value, "state": state.value}, value=one.alerts.get((kind, state), 0)
            )
            for one in endpoints
            for kind in KINDS_OF_ENDPOINTS
            for state in Standing
        ],
    )
    yield Family(
        name="flyball_predictions_captured",
        kind=FamilyKind.COUNTER,
        unit="{row}",
        what="Predictions in the log of an endpoint, those of shadows included.",
        samples=[Sample(labels=one.labels, value=one.captured_rows) for one in endpoints],
    )
    yield Family(
        name="flyball_predictions_lost",
        kind=FamilyKind.COUNTER,
        unit="{row}",
        what="Predictions that were answered and are not in the log, by reason.",
        samples=[
            Sample(labels={**one.labels, "reason": reason}, value=rows)
            for one in endpoints
            for reason, rows in one.lost_rows.items()
        ],
    )


def monitor_families(monitors: Sequence[MonitorFigures]) -> Iterator[Family]:
    """Yield what is known of each monitor as a whole."""
    yield _alerts(monitors)
    yield from _lengths(monitors)
    yield from _moments(monitors)
    yield from _windows(monitors)
    yield from rate_families(monitors)
    yield from quality_families(monitors)


def _alerts(monitors: Sequence[MonitorFigures]) -> Family:
    """Every kind and state has its sample, also where there is no alert: a rule can then tell zero from nothing."""
    return Family(
        name=f"{PREFIX}_alerts",
        unit="{alert}",
        what="Alerts that are not resolved, by kind and state.",
        samples=[
            Sample(
                labels={**one.labels, "kind": kind.value, "state": state.value},
                value=one.alerts.get((kind, state), 0),
            )
            for one in monitors
            for kind in AlertKind
            if kind not in KINDS_OF_ENDPOINTS
            for state in Standing
        ],
    )


def _lengths(monitors: Sequence[MonitorFigures]) -> Iterator[Family]:
    yield Family(
        name=f"{PREFIX}_window_length_seconds",
        unit="s",
        what="Length of a monitor's windows.",
        samples=[Sample(labels=one.labels, value=one.monitor.window_ms / MS_PER_S) for one in monitors],
    )
    yield Family(
        name=f"{PREFIX}_label_maturity_seconds",
        unit="s",
        what="How long a window waits for its labels.",
        samples=[Sample(labels=one.labels, value=one.monitor.label_maturity_ms / MS_PER_S) for one in monitors],
    )
    yield Family(
        name=f"{PREFIX}_unreadable",
        what="1 where the newest report of a monitor cannot be read, else 0.",
        samples=[Sample(labels=one.labels, value=int(one.unreadable)) for one in monitors],
    )
    yield Family(
        name=f"{PREFIX}_waiting_batches",
        unit="{batch}",
        what="Batches of predictions or labels that came since the monitor looked last.",
        samples=[Sample(labels=one.labels, value=one.waiting) for one in monitors],
    )


def _moments(monitors: Sequence[MonitorFigures]) -> Iterator[Family]:
    moment = partial(Family, unit="s", is_moment=True)
    yield moment(
        name=f"{PREFIX}_watermark_timestamp_seconds",
        what="Greatest event time that the endpoint has seen.",
        samples=[
            Sample(labels=one.labels, value=one.watermark_ms / MS_PER_S)
            for one in monitors
            if one.watermark_ms is not None
        ],
    )
    yield moment(
        name=f"{PREFIX}_closed_window_end_timestamp_seconds",
        what="End of the newest window that was reported.",
        samples=[
            Sample(labels=one.labels, value=one.closed.end_ms / MS_PER_S) for one in monitors if one.closed is not None
        ],
    )
    yield moment(
        name=f"{PREFIX}_mature_window_end_timestamp_seconds",
        what="End of the newest window that was reported with its labels.",
        samples=[
            Sample(labels=one.labels, value=one.mature.end_ms / MS_PER_S) for one in monitors if one.mature is not None
        ],
    )


def _windows(monitors: Sequence[MonitorFigures]) -> Iterator[Family]:
    reports = [(one, one.closed) for one in monitors if one.closed is not None]
    yield Family(
        name=f"{PREFIX}_window_rows",
        unit="{row}",
        what="Rows of the newest window that was reported.",
        samples=[Sample(labels=one.labels, value=report.rows) for one, report in reports],
    )
    yield Family(
        name=f"{PREFIX}_window_version",
        what="Version that was champion in most rows of the newest window that was reported.",
        samples=[
            Sample(labels=one.labels, value=report.version) for one, report in reports if report.version is not None
        ],
    )
    yield Family(
        name=f"{PREFIX}_features",
        unit="{feature}",
        what="Features of the newest window that was reported, by what was found.",
        samples=[
            Sample(labels={**one.labels, "verdict": verdict}, value=count)
            for one, report in reports
            for verdict, count in _verdicts(report).items()
        ],
    )
    yield Family(
        name=f"{PREFIX}_strongest_drift_ratio",
        unit="1",
        what="Greatest effect of a feature in units of its threshold; faulty features are left out.",
        samples=[
            Sample(labels=one.labels, value=strongest)
            for one, report in reports
            if (strongest := _strongest(report)) is not None
        ],
    )
    yield Family(
        name=f"{PREFIX}_unjudged",
        what="1 for each of data, drift, quality and the like that could not be judged in the newest window that was reported.",
        samples=[
            Sample(labels={**one.labels, "subject": subject}, value=1)
            for one, report in reports
            for subject in sorted(report.unknown)
        ],
    )


def _verdicts(report: WindowReport) -> dict[str, int]:
    faulty = {fault.feature for fault in report.faults}
    drifted = {drift.feature for drift in report.drifted}
    steady = {drift.feature for drift in report.drift} - drifted - faulty
    return {"drifted": len(drifted), "faulty": len(faulty), "steady": len(steady), "unwatched": len(report.unwatched)}


def _strongest(report: WindowReport) -> float | None:
    faulty = {fault.feature for fault in report.faults}
    return max((drift.strength for drift in report.drift if drift.feature not in faulty), default=None)
