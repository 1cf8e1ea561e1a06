"""The ports of the life of alerts: where silences are kept, and who hears of an alert that fires or ends.

Any number of threads and processes; every verb joins the transaction that the calling thread is in.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from flyball.monitoring.entities import Alert

if TYPE_CHECKING:
    from flyball.monitoring.alerts.silences import Silence


class Occasion(StrEnum):
    """What is told of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Announcer(Protocol):
    """Hear of alerts, inside the transaction in which they change."""

    def announce(self, alert: Alert, occasion: Occasion) -> None:
        """Take note that an alert began or ended."""
        ...


class Unheard:
    """The announcer of whoever has nobody to tell."""

    def announce(self, alert: Alert, occasion: Occasion) -> None:
        """Tell nobody."""
        del alert, occasion


class Release(Protocol):
    """Let go what waits for the end of a silence."""

    def release(self, *, now_ms: int) -> None:
        """Look again, at once, at everything that waits for a silence."""
        ...


class SilenceStore(Protocol):
    """Keep silences, those that are over as well."""

    def add(self, silence: Silence) -> None:
        """Keep a new silence."""
        ...

    def find(self, silence_id: str) -> Silence | None:
        """Return a silence, None when there is none."""
        ...

    def end(self, silence: Silence) -> None:
        """Keep the new end of a silence, and who ended it."""
        ...

    def list(self, *, not_over_ms: int | None) -> list[Silence]:
        """Return the silences that are not over at a moment, or all, newest first."""
        ...
