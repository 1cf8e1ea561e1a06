"""The part of a calibration that is about features together, where the monitor's file asks for them."""

from __future__ import annotations

from dataclasses import replace

from flyball.monitoring.calibration.entities import Calibration
from flyball.monitoring.calibration.history import Span
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.multivariate.calibrating import Reader, Windows, calibrate_joint
from flyball.monitoring.multivariate.samples import RowSample


def with_joint(
    made: Calibration, read: Reader, span: Span, *, monitor: Monitor, reference: RowSample | None
) -> Calibration:
    """Return a calibration with thresholds for features together; as it is where the monitor does not look at them."""
    if monitor.multivariate is None:
        return made
    windows = Windows(
        start_ms=span.start_ms, end_ms=span.end_ms, window_ms=monitor.window_ms, min_rows=monitor.min_rows
    )
    joint = calibrate_joint(
        read,
        windows,
        monitor.multivariate,
        reference,
        chance=monitor.feature_chance,
        without=monitor.drift.ignore,
    )
    return replace(made, joint=joint)
