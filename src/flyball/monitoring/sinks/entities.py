"""Notices, and their way to a sink, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flyball.kernel.events import Ref, ref
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import Alert


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    """It was not tried yet, or is tried again."""
    SILENCED = "silenced"
    """All it tells is under a silence; it goes out when that ends, if it is still true by then."""
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    OBSOLETE = "obsolete"
    """Never sent, because the alert was over, or the sink gone, before it could be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notice on its way to one sink. `due_ms` is None when nothing more is to be done about it.

    Alerts of one `group` that come before the first attempt are told together. `round` counts the reminders before this one.
    """

    id: str
    sink: str
    group: str
    occasion: Occasion
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    round: int = 0
    due_ms: int | None
    reason: str = ""
    created_ms: int
    updated_ms: int

    @property
    def ref(self) -> Ref:
        """Name this delivery in events."""
        return ref("alert-delivery", self.id)

    @property
    def key(self) -> str:
        """The same at every attempt, another one for every reminder: receivers that must not act twice remember it."""
        return f"{self.id}.{self.round}" if self.round else self.id

    @property
    def was_told(self) -> bool:
        """Whether the receiver heard it, or may have."""
        return self.state is DeliveryState.DELIVERED or self.attempts > 0 or self.round > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a sink is given to tell. `key` is the delivery's; `server_url` is where people look further."""

    key: str
    occasion: Occasion
    alerts: tuple[Alert, ...]
    server_url: str
