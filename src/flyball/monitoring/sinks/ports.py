"""The ports of sinks: a way to tell people, and where documents and deliveries are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import msgspec

from flyball.kernel.clock import Clock
from flyball.kernel.egress import Egress
from flyball.kernel.secrets import Secrets
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.sinks.entities import Delivery, Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a sink may use: the one way out, the secrets that it refers to, and the clock."""

    egress: Egress
    secrets: Secrets
    clock: Clock


class Sink(Protocol):
    """Tell a notice to one receiver; found by its kind in the entry-point group `flyball.alert_sinks`.

    A sink is made from its `options` and an `Outside`, and refuses options that cannot be (InvalidInput, PermissionDenied)
    without connecting to anything and without reading a secret. Any number of threads may send at once.
    """

    options: ClassVar[type[msgspec.Struct]]
    """The shape of what stands under `options:` in the document."""

    @property
    def hold_ms(self) -> int:
        """After how long the receiver forgets what it is not told again; 0 when it remembers."""
        ...

    def send(self, notice: Notice) -> str:
        """Tell it, and return what was answered, for people.

        Raises:
            FlyballError: it did not arrive, or nobody knows; it is told again later.
        """
        ...


class DocumentStore(Protocol):
    """Keep the one document of sinks and routes. Any number of threads and processes; joins the caller's transaction."""

    def put(self, content: str, *, now_ms: int) -> None:
        """Keep a document in place of the one before."""
        ...

    def find(self) -> str | None:
        """Return the document, None when there was none yet."""
        ...


class DeliveryStore(Protocol):
    """Keep deliveries. Any number of threads and processes; every verb joins the caller's transaction."""

    def add(self, delivery: Delivery, alerts: Collection[str]) -> None:
        """Keep a delivery that tells some alerts."""
        ...

    def join(self, sink: str, group: str, occasion: Occasion, *, alert: str) -> bool:
        """Add an alert to the delivery of its group that was not tried yet; return whether there was one."""
        ...

    def due(self, sink: str, *, now_ms: int, limit: int) -> list[Delivery]:
        """Return the deliveries of a sink whose time has come, oldest first."""
        ...

    def waiting(self, *, now_ms: int) -> list[str]:
        """Return the sinks for which a delivery is due."""
        ...

    def alerts(self, delivery_id: str) -> list[str]:
        """Return the ids of the alerts that a delivery tells, in the order in which they came."""
        ...

    def save(self, delivery: Delivery) -> None:
        """Keep what changed of a delivery."""
        ...

    def leave(self, delivery_id: str, alerts: Collection[str]) -> None:
        """Take alerts out of a delivery."""
        ...

    def release(self, *, now_ms: int) -> None:
        """Make every delivery due that waits for a silence."""
        ...


class DeliveryRecord(Protocol):
    """Look deliveries up."""

    def of_alerts(self, alerts: Collection[str]) -> dict[str, list[Delivery]]:
        """Return the deliveries of each alert that has any, oldest first."""
        ...

    def newest(self, sink: str, *, limit: int) -> Sequence[Delivery]:
        """Return the newest deliveries of a sink, newest first."""
        ...

    def forsake(self, *, kept: Collection[str], reason: str, now_ms: int) -> int:
        """End what waits for sinks that are not among those kept, and return how many deliveries that were."""
        ...

    def remove_ended(self, *, before_ms: int, limit: int) -> int:
        """Remove deliveries about which nothing was to be done since a moment, the oldest first, and return how many.

        What told of an alert that is not resolved stays: whoever heard of its beginning hears of its end.
        """
        ...
