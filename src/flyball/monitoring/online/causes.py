"""Why a detector calls for attention, in words and as causes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from flyball.monitoring.entities import Cause
from flyball.monitoring.online.figures import OnlineFigure
from flyball.monitoring.online.rules import Watch

LASTING_CHANGE, ERROR_RISE = "lasting_change", "error_rise"


def lasting_changes(figures: Sequence[OnlineFigure]) -> tuple[Cause, ...]:
    """Return what detectors found, errors first: they are what a change costs."""
    found = [_cause(one) for one in figures if one.alarms]
    return tuple(sorted(found, key=lambda cause: cause.kind != ERROR_RISE))


def told(figure: OnlineFigure) -> str:
    """Say what a detector found in a window, or how far it has come; one line."""
    change = figure.change
    if change is None:
        return f"{figure.about}, {figure.detector}: {_standing(figure)}"
    to = "rose" if change.rose else "fell"
    since, found = moment(change.since_ms), moment(change.found_ms)
    return f"{figure.about} {to} since {since}, found by {figure.detector} at {found}; {figure.stated}"


def moment(ms: int) -> str:
    """Write a moment of event time."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cause(figure: OnlineFigure) -> Cause:
    kind = ERROR_RISE if figure.watch is Watch.ERROR else LASTING_CHANGE
    return Cause(feature=figure.feature, kind=kind, score=1.0, detail=told(figure))


def _standing(figure: OnlineFigure) -> str:
    if figure.reason:
        return figure.reason
    if figure.statistic is None or figure.limit is None:
        return "no change"
    return f"no change, {figure.statistic:.3g} of {figure.limit:.3g}"
