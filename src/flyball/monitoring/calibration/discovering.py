"""Hold windows, one after the other, to a share of false discoveries: from the reports before a window to its level, and on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flyball.kernel.canonical import Digest, digest_json
from flyball.measures.false_discovery import Discoveries, DiscoveryRule, level_at, went_on
from flyball.measures.permutation import rank_threshold
from flyball.monitoring.calibration.discoveries import DiscoveryFigure, DiscoveryMemory
from flyball.monitoring.calibration.entities import FeatureCalibration
from flyball.monitoring.calibration.judging import Yardstick, why_not
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import DataFault, FeatureDrift, WindowReport
from flyball.monitoring.monitor import Monitor

EVIDENCE = "discoveries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovering:
    """A window about to be judged: its step, the level of that step, and what the windows before remember."""

    rule: DiscoveryRule
    step: int
    level: float
    before: DiscoveryMemory
    began_from: Digest


def discovering(monitor: Monitor, earlier: Sequence[WindowReport], version: int, start_ms: int) -> Discovering | None:
    """Return the level of a window; None where the monitor's file wants no share of false discoveries.

    Args:
        monitor: whose file it is; under another rule the procedure begins anew.
        earlier: the newest report of each window before, by start.
        version: whose window it is; another version's discoveries say nothing of this one.
        start_ms: the start of the window.
    """
    rule = monitor.alarms.discovery_rule(monitor.window_ms)
    if rule is None:
        return None
    key = _key(monitor, rule)
    found = memory_from(earlier, version)
    fresh = DiscoveryMemory(key=key, began_ms=start_ms, known=Discoveries())
    before = found if found is not None and found.key == key else fresh
    step = (start_ms - before.began_ms) // monitor.window_ms + 1
    level = level_at(rule, before.known, step)
    return Discovering(rule=rule, step=step, level=level, before=before, began_from=digest_of(found))


def memory_from(earlier: Sequence[WindowReport], version: int) -> DiscoveryMemory | None:
    """Return the newest memory of a version, None where it has none yet."""
    for report in reversed(earlier):
        if report.version is not None and report.version != version:
            return None
        if report.discoveries is not None:
            return report.discoveries.memory
    return None


def digest_of(memory: DiscoveryMemory | None) -> Digest:
    """Name what a window began from, for its evidence."""
    return digest_json(to_json(memory))


def held_to(yardstick: Yardstick | None, now: Discovering | None, monitor: Monitor) -> Yardstick | None:
    """Return the calibration with the thresholds of a window's level; as it is where there is no level, or no calibration."""
    if yardstick is None or now is None or why_not(yardstick, monitor):
        return yardstick
    limit = rank_threshold(yardstick.calibration.null, now.level)
    features = tuple(_at(feature, limit, monitor.alarms.least_effect) for feature in yardstick.calibration.features)
    return replace(yardstick, calibration=replace(yardstick.calibration, features=features))


def discovered(
    now: Discovering, judged_by: Iterable[str], drift: Sequence[FeatureDrift], faults: Sequence[DataFault]
) -> DiscoveryFigure:
    """Return what a window adds: a discovery where a feature drifted that is `judged_by` the calibration, and whose data is not faulty.

    A window that could not be judged is none, and time goes on.
    """
    names = set(judged_by) - {fault.feature for fault in faults}
    mine = [one for one in drift if one.feature in names and one.p_value is not None]
    rejected = any(one.drifted for one in mine)
    return DiscoveryFigure(
        level=now.level,
        p_value=min((one.p_value for one in mine if one.p_value is not None), default=None),
        rejected=rejected,
        memory=replace(now.before, known=went_on(now.before.known, now.step, found=rejected)),
    )


def calibrated(yardstick: Yardstick | None, monitor: Monitor) -> tuple[str, ...]:
    """Return the features that the calibration judges."""
    if yardstick is None or why_not(yardstick, monitor):
        return ()
    return tuple(feature.bins.feature for feature in yardstick.calibration.features)


def _at(feature: FeatureCalibration, limit: float, least: float) -> FeatureCalibration:
    return replace(feature, threshold=max(feature.centre + limit * feature.scale, least))


def _key(monitor: Monitor, rule: DiscoveryRule) -> str:
    return f"{rule.rate:g} decay={rule.decay!r} window={monitor.window_ms} origin={monitor.origin_ms}"
