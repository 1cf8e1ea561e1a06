"""From reports to alerts: what a window's report calls attention to, since when, and the likely causes in order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flyball.measures.groups import Fairness
from flyball.measures.metrics import Better
from flyball.monitoring.entities import AlertKind, Cause, FeatureDrift, WindowReport
from flyball.monitoring.figures import SliceFigure, SliceVerdict
from flyball.monitoring.multivariate.entities import JointKind
from flyball.monitoring.online.causes import lasting_changes

CONCEPT = "concept"
DRIFT = "drift"
NEWLY_VARYING = "newly_varying"
JOINT = "joint"
SLICE = "slice"
BIAS = "bias"
LEAST_TOLERANCE = 0.01
# Wrong data explains a drop better than any drift does, so faults stand first whatever the strength of a drift.
FAULT_SCORE = 1_000.0
# Drift and drops come and go by chance, and may be asked to persist. A broken feed is no matter of chance, nor of the version
# that reads it, and every window of waiting is a window of wrong answers. A detector that sees window after window has waited
# already, and tells of a change once.
AT_ONCE = frozenset({AlertKind.DATA_FAULT, AlertKind.LASTING_CHANGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A reason for an alert."""

    kind: AlertKind
    causes: tuple[Cause, ...]


def shown(report: WindowReport | None) -> frozenset[AlertKind]:
    """Return the kinds of alert that a report gives a reason for."""
    if report is None:
        return frozenset()
    kinds = {
        AlertKind.DATA_FAULT: bool(report.faults),
        AlertKind.COVARIATE_DRIFT: bool(report.drifted or report.drifted_together),
        AlertKind.QUALITY_DROP: report.quality is not None and (report.quality.dropped or bool(dropped_slices(report))),
        AlertKind.CONCEPT: _concept_got_worse(report),
        AlertKind.LASTING_CHANGE: any(one.alarms for one in report.online),
        AlertKind.BIAS: any(one.verdict is Fairness.BEYOND for one in report.groups),
    }
    return frozenset(kind for kind, is_shown in kinds.items() if is_shown)


def new_findings(
    report: WindowReport, *, before: WindowReport | None, earlier: Sequence[WindowReport], persist: int
) -> list[Finding]:
    """Return what is worth an alert now.

    Args:
        report: the newest report of a window.
        before: the report of the same window that it replaces; what that one showed already is no news.
        earlier: the newest reports of the windows before this one, by start; at least `persist - 1` where there are.
        persist: how many windows in a row, this one included, must show the same of the same version; not for faults.
    """
    news = shown(report) - shown(before)
    return [
        Finding(kind=kind, causes=causes(report, kind))
        for kind in AlertKind
        if kind in news and (kind in AT_ONCE or _persists(kind, report, earlier, persist=persist))
    ]


def _persists(kind: AlertKind, report: WindowReport, earlier: Sequence[WindowReport], *, persist: int) -> bool:
    needed = list(earlier[len(earlier) - (persist - 1) :]) if persist > 1 else []
    shows_too = [kind in shown(past) and past.version == report.version for past in needed]
    return len(needed) == persist - 1 and all(shows_too)


def causes(report: WindowReport, kind: AlertKind) -> tuple[Cause, ...]:
    """Rank the likely causes, the likeliest first.

    Where labels say how many wrong answers each feature explains, by that; what explains nothing that is sure follows in this
    order. Of a fault: the faulty features by the share of rows. Of drift: the drifted features by effect over threshold, then
    those that changed together only. Of a drop in quality or of the concept: faults; that the meaning of the inputs changed,
    where the labels prove it; named slices that dropped; the strongest drift; the worst slice; other drift; and where nothing
    proves it, at last, that the meaning may have changed (which is all there is to say when the inputs look as they did). Of a
    bias: the gaps by their size over the tolerance. Of a lasting change: what the detectors watch.
    """
    faults = [
        Cause(feature=fault.feature, kind=str(fault.kind), score=FAULT_SCORE * fault.share, detail=fault.detail)
        for fault in report.faults
    ]
    drifts = [
        Cause(
            feature=drift.feature,
            kind=NEWLY_VARYING if drift.newly_varying else DRIFT,
            score=drift.strength,
            detail=_detail(drift),
        )
        for drift in report.drifted
    ]
    if kind is AlertKind.BIAS:
        return _gaps(report)
    if kind is AlertKind.LASTING_CHANGE:
        return lasting_changes(report.online)
    if kind is AlertKind.DATA_FAULT:
        return _ranked(report, faults)
    if kind is AlertKind.COVARIATE_DRIFT:
        return _ranked(report, [*drifts, *_together(report)])
    proven = _proven_concept(report)
    rest = () if proven else (_concept(report),)
    strongest, others = drifts[:1], [*drifts[1:], *_together(report)]
    told = [*faults, *proven, *_named_slices(report), *strongest, *_worst_slice(report), *others, *rest]
    return _ranked(report, told)


def _together(report: WindowReport) -> list[Cause]:
    """Return what changed together: feature by feature, but for those that drifted for themselves and are named by that."""
    known = {drift.feature for drift in report.drifted}
    found: list[Cause] = []
    for joint in report.drifted_together:
        own = joint.kind is not JointKind.NUMBERS
        shares = {joint.subject: 1.0} if own else {one.name: one.share for one in joint.named}
        found += [
            Cause(feature=name, kind=JOINT, score=joint.strength * share, detail=joint.text)
            for name, share in shares.items()
            if name not in known
        ]
        if not shares:
            found.append(Cause(feature="", kind=JOINT, score=joint.strength, detail=f"{joint.subject}: {joint.text}"))
    return found


def _concept_got_worse(report: WindowReport) -> bool:
    """Tell whether the concept surely changed for the worse; a change for the better is in the report, and no alarm."""
    concept = report.concept
    return concept is not None and concept.changed_for_the_worse


def _proven_concept(report: WindowReport) -> tuple[Cause, ...]:
    concept = report.concept
    if concept is None or not _concept_got_worse(report):
        return ()
    score = abs(concept.gap or 0.0) / (concept.allowed or 1.0)
    return (Cause(feature="", kind=CONCEPT, score=score, detail=concept.reason),)


def dropped_slices(report: WindowReport) -> list[SliceFigure]:
    """Return the slices that the monitor names and that surely fell below their own baseline."""
    named = report.slices.named if report.slices else ()
    return [one for one in named if one.verdict is SliceVerdict.DROPPED]


def _named_slices(report: WindowReport) -> list[Cause]:
    causes = [
        Cause(
            feature="",
            kind=SLICE,
            score=abs((one.baseline or 0.0) - (one.value or 0.0)),
            detail=f"{one.name} ({one.where}): {one.metric} {one.value or 0.0:.4f} on {one.share:.1%} of the rows, {one.reason}",
        )
        for one in dropped_slices(report)
    ]
    return sorted(causes, key=lambda cause: -cause.score)


def _worst_slice(report: WindowReport) -> tuple[Cause, ...]:
    worst = report.slices.worst if report.slices else None
    if worst is None:
        return ()
    detail = (
        f"{worst.where}: {worst.metric} {worst.value:.4f} on {worst.share:.1%} of the rows, {worst.rest:.4f} elsewhere"
    )
    score = abs(worst.rest - worst.value)
    return (Cause(feature="", kind=SLICE, score=score, detail=detail),)


def _gaps(report: WindowReport) -> tuple[Cause, ...]:
    beyond = [one for one in report.groups if one.verdict is Fairness.BEYOND]
    found = [
        Cause(
            feature=one.column,
            kind=BIAS,
            score=(one.difference or 0.0) / max(one.tolerance, LEAST_TOLERANCE),
            detail=f"{one.rate} of {one.higher} above that of {one.lower}: {one.reason}",
        )
        for one in beyond
    ]
    return tuple(sorted(found, key=lambda cause: -cause.score))


def _ranked(report: WindowReport, found: Sequence[Cause]) -> tuple[Cause, ...]:
    """Put what explains most wrong answers first; those that explain equally many, or none, stay in their order."""
    losses = {cause.feature: report.attribution.sure_loss(cause.feature) for cause in found if cause.feature}
    most = max(losses.values(), default=0.0)
    if most <= 0.0:
        return tuple(found)
    # A change of concept has what no feature explains. Where labels prove it, it was told apart from drift by a stricter look.
    concept = most if _concept_got_worse(report) else max(0.0, report.attribution.excess - most)
    told = [
        replace(cause, detail=f"{cause.detail}; explains {100 * losses[cause.feature]:.1f} points of the wrong answers")
        if losses.get(cause.feature)
        else cause
        for cause in found
    ]
    return tuple(
        sorted(told, key=lambda cause: -(concept if cause.kind == CONCEPT else losses.get(cause.feature, 0.0)))
    )


def _detail(drift: FeatureDrift) -> str:
    if drift.newly_varying:
        return f"one value before, {drift.effect:.0%} of the rows differ from it now"
    return f"{drift.measure.replace('_', ' ')} {drift.effect:.4g}, threshold {drift.threshold:.4g}"


def _concept(report: WindowReport) -> Cause:
    quality = report.quality
    assert quality is not None, "a drop in quality comes with its numbers"
    detail = f"{quality.metric} {quality.value or 0.0:.4f}, baseline {quality.baseline or 0.0:.4f}"
    if "drift" in report.unknown:
        detail += f"; the inputs could not be compared: {report.unknown['drift']}"
    fallen = (quality.baseline or 0.0) - (quality.value or 0.0)
    return Cause(feature="", kind=CONCEPT, score=fallen if quality.better is Better.HIGHER else -fallen, detail=detail)
