"""What is told of the alarms themselves: whether their rate is known, what it is, and how unusual the newest window was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flyball.kernel.telemetry import Family, Sample
from flyball.monitoring.calibration.entities import AlarmStatement
from flyball.monitoring.calibration.rules import AlarmRules
from flyball.monitoring.exports.figures import MonitorFigures
from flyball.monitoring.monitor import DAY_MS

PREFIX = "flyball_monitor"


def rate_families(monitors: Sequence[MonitorFigures]) -> Iterator[Family]:
    """Yield the statement of each monitor whose file wants a rate."""
    stated = [
        (one, statement) for one in monitors if one.closed is not None and (statement := one.closed.alarms) is not None
    ]
    yield Family(
        name=f"{PREFIX}_rate_known",
        what="1 where the rate of false alarms that the monitor's file wants is held by a calibration, 0 where it is unknown.",
        samples=[Sample(labels=one.labels, value=int(not statement.reason)) for one, statement in stated],
    )
    yield Family(
        name=f"{PREFIX}_false_alarms_per_day",
        what="False drift alarms to be expected of the monitor, a day of event time.",
        samples=[
            Sample(labels=one.labels, value=statement.rate * DAY_MS / _period_ms(statement))
            for one, statement in stated
            if statement.rate is not None
        ],
    )
    yield Family(
        name=f"{PREFIX}_window_p_value",
        what="How likely a window as unusual as the newest one is where nothing has changed, all features accounted for.",
        samples=[
            Sample(labels=one.labels, value=statement.p_value)
            for one, statement in stated
            if statement.p_value is not None
        ],
    )


def _period_ms(statement: AlarmStatement) -> int:
    """Return the period that a rate is about: that of the report's own wish, which the file may have changed since."""
    return AlarmRules(false_alarms=statement.false_alarms).period_ms
