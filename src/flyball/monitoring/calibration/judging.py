"""A window judged by its monitor's calibration: the effect against what its time leads to expect, and its rank in the past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flyball.kernel.canonical import Digest
from flyball.measures.permutation import rank_p_values
from flyball.measures.samples import Floats
from flyball.monitoring.calibration.cells import summary_counts
from flyball.monitoring.calibration.effects import effects_of, phase_shares
from flyball.monitoring.calibration.entities import AlarmStatement, Calibration, FeatureCalibration
from flyball.monitoring.calibration.seasons import phase_count, phases_of
from flyball.monitoring.drift import DriftFindings, find_drift, rank
from flyball.monitoring.entities import FeatureDrift
from flyball.monitoring.monitor import DriftRules, Monitor
from flyball.monitoring.summaries import ColumnSummary

NOT_YET = "the monitor is not calibrated for this version: run `flyball monitor calibrate`"
OF_OTHER = "the calibration is of other alarms ({}): run `flyball monitor calibrate`"
NO_LIKE = "the history holds nothing of this time of the cycle"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Yardstick:
    """A calibration made ready for many windows: its digest, and each feature's expectations as a matrix (phases, bins)."""

    calibration: Calibration
    digest: Digest
    shares: tuple[Floats, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDrift:
    """What drifted, and what can be said of the alarm."""

    findings: DriftFindings
    statement: AlarmStatement | None


def yardstick_of(calibration: Calibration) -> Yardstick:
    """Make a calibration ready."""
    shares = tuple(np.asarray(feature.shares) for feature in calibration.features)
    return Yardstick(calibration=calibration, digest=calibration.digest, shares=shares)


def judge_drift(
    watched: Mapping[str, ColumnSummary],
    features: Mapping[str, ColumnSummary],
    times: NDArray[np.int64],
    *,
    monitor: Monitor,
    yardstick: Yardstick | None,
) -> JudgedDrift:
    """Judge by the calibration where there is one that says something, else by the thresholds of the file, and say so.

    Args:
        watched: what the version knows of each feature.
        features: what the window shows.
        times: the event times of the window's rows, shape (n,): they tell what to expect.
        monitor: whose alarms these are; nothing is said of their rate where its file wants none.
        yardstick: the newest calibration for the version.
    """
    bare = AlarmStatement(false_alarms=monitor.alarms.false_alarms, false_discoveries=monitor.alarms.discoveries)
    if not monitor.alarms.stated:
        return JudgedDrift(findings=find_drift(watched, features, monitor.drift), statement=None)
    reason = why_not(yardstick, monitor)
    if yardstick is None or reason:
        digest = "" if yardstick is None else str(yardstick.digest)
        statement = replace(bare, calibration=digest, reason=reason)
        return JudgedDrift(findings=find_drift(watched, features, monitor.drift), statement=statement)
    calibration = yardstick.calibration
    judged = _judge(yardstick, features, times, monitor.drift)
    calibrated = {found.bins.feature for found in calibration.features}
    other = find_drift({name: one for name, one in watched.items() if name not in calibrated}, features, monitor.drift)
    unwatched = {**other.unwatched, **judged.unwatched}
    findings = DriftFindings(drift=tuple(sorted([*judged.drift, *other.drift], key=rank)), unwatched=unwatched)
    p_values = [drift.p_value for drift in judged.drift if drift.p_value is not None]
    statement = replace(
        bare,
        calibration=str(yardstick.digest),
        p_value=min(p_values, default=None),
        rate=None if calibration.false_discoveries else calibration.rate,
    )
    return JudgedDrift(findings=findings, statement=statement)


def why_not(yardstick: Yardstick | None, monitor: Monitor) -> str:
    """Return why a window cannot be judged by the calibration, empty where it can."""
    if yardstick is None:
        return NOT_YET
    calibration = yardstick.calibration
    if calibration.false_discoveries != monitor.alarms.discoveries:
        return OF_OTHER.format(calibration.wanted)
    return calibration.reason


def _judge(
    yardstick: Yardstick, features: Mapping[str, ColumnSummary], times: NDArray[np.int64], rules: DriftRules
) -> DriftFindings:
    calibration = yardstick.calibration
    phases = _phase_shares(calibration, times)
    drift: list[FeatureDrift] = []
    unwatched: dict[str, str] = {}
    for feature, shares in zip(calibration.features, yardstick.shares, strict=True):
        name = feature.bins.feature
        if name in rules.ignore or name not in features:
            unwatched[name] = "ignored by the monitor" if name in rules.ignore else "the window has no such column"
            continue
        found, reason = _feature_drift(feature, features[name], phases @ shares)
        if found is None:
            unwatched[name] = reason
        else:
            drift.append(found)
    p_values = rank_p_values(calibration.null, [one.value or 0.0 for one in drift])
    return DriftFindings(
        drift=tuple(replace(one, p_value=float(p)) for one, p in zip(drift, p_values, strict=True)), unwatched=unwatched
    )


def _feature_drift(feature: FeatureCalibration, seen: ColumnSummary, ours: Floats) -> tuple[FeatureDrift | None, str]:
    """Measure a feature: `value` is its effect in units of what is usual for it."""
    bins = feature.bins
    theirs, beyond = summary_counts(bins, seen)
    if not theirs.sum() > 0:
        return None, "no value to compare"
    if not ours.sum() > 0:
        return None, NO_LIKE
    effect = float(effects_of(bins, ours, theirs[None, :], np.array([beyond]))[0])
    drift = FeatureDrift(
        feature=bins.feature,
        measure=bins.measure,
        effect=effect,
        threshold=feature.threshold,
        value=(effect - feature.centre) / feature.scale,
        p_value=None,
        drifted=effect > feature.threshold,
    )
    return drift, ""


def _phase_shares(calibration: Calibration, times: NDArray[np.int64]) -> Floats:
    cell = (times - calibration.history_start_ms) // calibration.cell_ms
    places, rows = np.unique(cell, return_counts=True)
    starts = calibration.history_start_ms + places * calibration.cell_ms
    phases = phases_of(starts, calibration.cell_ms, calibration.cycles)
    count = phase_count(calibration.cell_ms, calibration.cycles)
    return phase_shares(rows[None, :].astype(np.float64), phases[None, :], count=count)
