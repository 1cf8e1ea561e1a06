"""The port of the figures: what can be told without reading more of the store than there are monitors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flyball.monitoring.entities import Alert, WindowReport
from flyball.monitoring.monitor import Monitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A monitor, and the arrival up to which it has looked."""

    monitor: Monitor
    seen_arrival: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What came to the prediction log of an endpoint, and what did not. `watermark_ms` is -1 before the first prediction."""

    endpoint: str
    watermark_ms: int = -1
    arrivals: int = 0
    captured_rows: int = 0
    lost_rows: Mapping[str, int] = field(default_factory=dict)


class FigureStore(Protocol):
    """Read-only. Any number of threads and processes; the cost grows with the number of monitors."""

    def looks(self) -> Sequence[Look]:
        """Return every monitor by name, with how far it has looked."""
        ...

    def tallies(self) -> Mapping[str, Tally]:
        """Return what came and what was lost, by endpoint."""
        ...

    def newest(self, monitor: str) -> tuple[WindowReport | None, WindowReport | None]:
        """Return the newest report of the newest window that has one, and of the newest mature window.

        Raises:
            Corrupted: one of them is no report.
        """
        ...

    def active_alerts(self) -> Sequence[Alert]:
        """Return the alerts that are not resolved; a monitor has at most one of a kind."""
        ...
