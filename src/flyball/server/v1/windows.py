"""What a window showed, in the shape of the API."""

from __future__ import annotations

from collections.abc import Sequence

from flyball.monitoring.entities import FeatureDrift, WindowReport, WindowState
from flyball.monitoring.figures import GroupFigures, SliceFigure, SlicesFound
from flyball.monitoring.online.causes import told
from flyball.monitoring.quality_rules import ACCURACY
from flyball.wire.v1 import monitors as shapes

NOTHING = SlicesFound()
SHORT_DIGEST = 12


def window_info(report: WindowReport) -> shapes.WindowInfo:
    """Return a report in short."""
    quality, estimated, slices = report.quality, report.estimated, report.slices or NOTHING
    value = quality.value if quality else None
    return shapes.WindowInfo(
        start_ms=report.start_ms,
        end_ms=report.end_ms,
        state=report.state,
        rows=report.rows,
        labelled=report.labelled,
        drifted=[*(one.feature for one in report.drifted), *(one.subject for one in report.drifted_together)],
        faults=[f"{one.feature}: {one.detail}" for one in report.faults],
        accuracy=value if quality and quality.metric == ACCURACY else None,
        lower=quality.lower if quality else None,
        upper=quality.upper if quality else None,
        baseline=quality.baseline if quality else None,
        verdict=quality.verdict if quality else "unknown",
        revision=report.revision,
        coverage=_coverage(report),
        metric=quality.metric if quality else "",
        value=value,
        estimated_metric=estimated.metric if estimated else "",
        estimated=estimated.value if estimated else None,
        estimated_lower=estimated.lower if estimated else None,
        estimated_upper=estimated.upper if estimated else None,
        concept=report.concept.verdict if report.concept else "unknown",
        worst_slice=slices.worst.where if slices.worst else "",
        slices=[_slice(one) for one in slices.named],
        groups=[_groups(one) for one in report.groups],
        together=[f"{one.subject}: {'drifted' if one.drifted else 'steady'}: {one.text}" for one in report.joint],
        changes=[told(one) for one in report.online if one.change],
        unknown=dict(report.unknown),
        outputs=[_moved(one) for one in report.outputs if one.drifted],
        alarm=_alarm(report),
    )


def revision_infos(history: Sequence[WindowReport]) -> list[shapes.RevisionInfo]:
    """Return the reports of one window, oldest first, with what each added."""
    before: list[WindowReport | None] = [None, *history][: len(history)]
    return [_revision(one, earlier) for one, earlier in zip(history, before, strict=True)]


def _revision(report: WindowReport, before: WindowReport | None) -> shapes.RevisionInfo:
    quality = report.quality
    return shapes.RevisionInfo(
        revision=report.revision,
        state=report.state,
        rows=report.rows,
        labelled=report.labelled,
        added=report.labelled - (before.labelled if before else 0),
        coverage=_coverage(report),
        again=before is not None and WindowState.MATURE is before.state is report.state,
        value=quality.value if quality else None,
        lower=quality.lower if quality else None,
        upper=quality.upper if quality else None,
        verdict=quality.verdict if quality else "unknown",
    )


def _coverage(report: WindowReport) -> float:
    return report.labelled / report.rows if report.rows else 0.0


def _moved(one: FeatureDrift) -> str:
    return f"{one.feature} drifted ({one.measure} {one.effect:.3g}, threshold {one.threshold:.3g})"


def _alarm(report: WindowReport) -> str:
    one, found = report.alarms, report.discoveries
    if one is None:
        return ""
    if one.reason:
        return f"{one.wanted} wanted, the rate is not known: {one.reason}"
    p_value = "" if one.p_value is None else f", p = {one.p_value:.3g}"
    if found is not None:
        is_one = "a discovery" if found.rejected else "no discovery"
        return f"{one.wanted} wanted, level {found.level:.3g} by calibration {one.calibration[:SHORT_DIGEST]}{p_value}: {is_one}"
    return (
        f"{one.false_alarms} wanted, {one.rate:.3g} on average by calibration {one.calibration[:SHORT_DIGEST]}{p_value}"
    )


def _slice(one: SliceFigure) -> str:
    return f"{one.name} {one.verdict}: {_between(one.value, one.lower, one.upper)}, {one.rows} rows; {one.reason}"


def _groups(one: GroupFigures) -> str:
    shares = ", ".join(f"{each.group} {_between(each.value, each.lower, each.upper)}" for each in one.groups)
    return f"{one.column} {one.rate} {one.verdict}: {shares}; {one.reason}"


def _between(value: float | None, lower: float | None, upper: float | None) -> str:
    if value is None:
        return "unknown"
    low, high = ("?" if bound is None else f"{bound:.3f}" for bound in (lower, upper))
    return f"{value:.3f} [{low}, {high}]"
