"""What all monitors found last, as one value that every form is rendered from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from flyball.monitoring.entities import AlertKind, WindowReport
from flyball.monitoring.monitor import Monitor


class Standing(StrEnum):
    """Who has to do with an alert that is not resolved."""

    FIRING = "firing"
    """Nobody has said anything."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody looks after it."""
    SILENCED = "silenced"
    """It fires, and somebody has said beforehand that it should not be heard."""


Counted: TypeAlias = Mapping[tuple[AlertKind, Standing], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorFigures:
    """What a monitor found last.

    `closed` is the report of the newest window that has one, `mature` that of the newest whose labels have had their time; None
    where there is none. `waiting` counts the batches of predictions or labels that came since the last
    look. `unreadable` says that a report is there and is no report. `alerts` counts the active ones.
    """

    monitor: Monitor
    waiting: int
    watermark_ms: int | None = None
    closed: WindowReport | None = None
    mature: WindowReport | None = None
    unreadable: bool = False
    alerts: Counted = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that every sample of this monitor has."""
        return {"monitor": self.monitor.name, "endpoint": self.monitor.endpoint, "model": self.monitor.model}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFigures:
    """What is watched of an endpoint. `captured_rows` and `lost_rows` (by reason) were counted since there is a prediction log."""

    endpoint: str
    model: str
    monitors: int
    captured_rows: int = 0
    lost_rows: Mapping[str, int] = field(default_factory=dict)
    alerts: Counted = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that every sample of this endpoint has."""
        return {"endpoint": self.endpoint, "model": self.model}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of an installation at a moment."""

    now_ms: int
    monitors: Sequence[MonitorFigures]
    endpoints: Sequence[EndpointFigures]
