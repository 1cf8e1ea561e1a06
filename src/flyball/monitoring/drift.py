"""Drift of a window's features against the reference: an effect beyond its threshold *and* a significant test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flyball.datasets.profile import ColumnKind
from flyball.measures.multiplicity import benjamini_hochberg, holm
from flyball.monitoring.distances import column_drift
from flyball.monitoring.entities import FeatureDrift
from flyball.monitoring.monitor import Correction, DriftRules
from flyball.monitoring.summaries import ColumnSummary

UNWATCHED_KINDS = {
    ColumnKind.TEXT: "free text has no distribution to compare",
    ColumnKind.TIME: "a time has no distribution to compare",
    ColumnKind.LIST: "lists have no distribution to compare",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFindings:
    """Every watched feature, strongest first, and the reason for every feature that is not watched."""

    drift: tuple[FeatureDrift, ...]
    unwatched: Mapping[str, str]


def find_drift(
    reference: Mapping[str, ColumnSummary], window: Mapping[str, ColumnSummary], rules: DriftRules
) -> DriftFindings:
    """Measure each feature of a window that the reference knows."""
    measured: list[FeatureDrift] = []
    unwatched: dict[str, str] = {}
    for name, known in reference.items():
        reason = _unwatched(name, known, window, rules)
        found = None if reason else column_drift(name, known, window[name], rules)
        if found is None:
            unwatched[name] = reason or "no value to compare"
        else:
            measured.append(found)
    judged = judge_all(measured, rules)
    return DriftFindings(drift=tuple(sorted(judged, key=rank)), unwatched=unwatched)


def judge_all(measured: Sequence[FeatureDrift], rules: DriftRules) -> list[FeatureDrift]:
    """Adjust the p-values over all features, and say of each whether it drifted."""
    tested = [drift for drift in measured if drift.p_value is not None]
    adjust = holm if rules.correction is Correction.HOLM else benjamini_hochberg
    adjusted = adjust([drift.p_value or 0.0 for drift in tested])
    judged = [drift for drift in measured if drift.p_value is None]
    for drift, p_value in zip(tested, adjusted, strict=True):
        drifted = drift.effect > drift.threshold and float(p_value) < rules.significance
        judged.append(replace(drift, p_value=float(p_value), drifted=drifted))
    return judged


def _unwatched(name: str, known: ColumnSummary, window: Mapping[str, ColumnSummary], rules: DriftRules) -> str:
    if name in rules.ignore:
        return "ignored by the monitor"
    if name not in window:
        return "the window has no such column"
    return UNWATCHED_KINDS.get(known.kind, "")


def rank(drift: FeatureDrift) -> tuple[bool, float, str]:
    """Order drifts: those that drifted first, then by strength."""
    return not drift.drifted, -drift.strength, drift.feature
