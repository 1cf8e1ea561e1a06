"""What is told of single features: so many a monitor and no more, because each is a series that somebody has to store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flyball.kernel.telemetry import Family, Sample
from flyball.monitoring.entities import FeatureDrift
from flyball.monitoring.exports.figures import MonitorFigures

PREFIX = "flyball_monitor"


def feature_families(monitors: Sequence[MonitorFigures], *, most: int) -> Iterator[Family]:
    """Yield drift and faults by feature, the strongest `most` of each monitor, and how many that leaves out."""
    reports = [(one.labels, one.closed) for one in monitors if one.closed is not None]
    yield from _moved(
        "output",
        "How far the answers moved",
        [
            ({**labels, "output": found.feature, "measure": found.measure}, found)
            for labels, report in reports
            for found in _strongest(report.outputs)[:most]
        ],
    )
    drift = [
        ({**labels, "feature": found.feature, "measure": found.measure}, found)
        for labels, report in reports
        for found in _strongest(report.drift)[:most]
    ]
    yield from _moved("feature", "How far a feature moved", drift)
    yield Family(
        name=f"{PREFIX}_data_fault_ratio",
        unit="1",
        what="Share of the rows in which a feature is wrong, by kind of fault.",
        samples=[
            Sample(labels={**labels, "feature": fault.feature, "kind": fault.kind.value}, value=fault.share)
            for labels, report in reports
            for fault in sorted(report.faults, key=lambda one: (-one.share, one.feature, one.kind))[:most]
        ],
    )
    yield Family(
        name=f"{PREFIX}_features_left_out",
        unit="{feature}",
        what="Features whose drift is counted in flyball_monitor_features and not told one by one.",
        samples=[Sample(labels=labels, value=max(0, len(report.drift) - most)) for labels, report in reports],
    )


def _moved(subject: str, what: str, found: Sequence[tuple[Mapping[str, str], FeatureDrift]]) -> Iterator[Family]:
    """Yield effect, threshold and verdict; those of features have had the shorter names from the beginning."""
    name = f"{PREFIX}_drift" if subject == "feature" else f"{PREFIX}_{subject}_drift"
    yield Family(
        name=f"{name}_effect",
        what=f"{what} from the reference, in the newest window that was reported.",
        samples=[Sample(labels=labels, value=drift.effect) for labels, drift in found],
    )
    yield Family(
        name=f"{name}_threshold",
        what="What the effect is held against.",
        samples=[Sample(labels=labels, value=drift.threshold) for labels, drift in found],
    )
    yield Family(
        name=f"{PREFIX}_{subject}_drifted",
        what="1 where the effect is beyond its threshold and the test is significant, else 0.",
        samples=[Sample(labels=labels, value=int(drift.drifted)) for labels, drift in found],
    )


def _strongest(drift: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """Order what was measured: what drifted, then by strength; names decide between equals, so that two readings agree."""
    return sorted(drift, key=lambda one: (not one.drifted, -one.strength, one.feature))
