"""Put what is to be told into the outbox, in the transaction in which an alert fires or ends: told if it was kept, and only then."""

from __future__ import annotations

import msgspec

from flyball.kernel.clock import Clock
from flyball.kernel.errors import Corrupted
from flyball.kernel.ids import new_id
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import Alert
from flyball.monitoring.sinks.document import SinkDocument
from flyball.monitoring.sinks.entities import Delivery
from flyball.monitoring.sinks.ports import DeliveryRecord, DeliveryStore, DocumentStore


class Routing:
    """Reads the document of sinks and routes that is in force."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store

    def read(self) -> SinkDocument:
        """Return the document, an empty one before the first.

        Raises:
            Corrupted: what is stored is no document.
        """
        content = self._store.find()
        try:
            return SinkDocument() if content is None else msgspec.json.decode(content, type=SinkDocument)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise Corrupted(f"the stored document of alert sinks cannot be read: {error}") from error


class Outbox:
    """The announcer that writes a delivery for each sink that an alert goes to."""

    def __init__(self, routing: Routing, deliveries: DeliveryStore, record: DeliveryRecord, *, clock: Clock) -> None:
        self._routing = routing
        self._deliveries = deliveries
        self._record = record
        self._clock = clock

    def announce(self, alert: Alert, occasion: Occasion) -> None:
        """Keep a delivery for each sink; none is made before the transaction is committed."""
        document = self._routing.read()
        groups = document.destinations(alert)
        if occasion is Occasion.RESOLVED:
            groups = self._told(alert, document)
        due_ms = self._clock.now_ms() + document.group_wait_ms
        for sink, group in groups.items():
            self._put(alert, occasion, sink=sink, group=group, due_ms=due_ms)

    def _put(self, alert: Alert, occasion: Occasion, *, sink: str, group: str, due_ms: int) -> None:
        if self._deliveries.join(sink, group, occasion, alert=alert.id):
            return
        now_ms = self._clock.now_ms()
        delivery = Delivery(
            id=new_id(),
            sink=sink,
            group=group,
            occasion=occasion,
            due_ms=due_ms,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        self._deliveries.add(delivery, [alert.id])

    def _told(self, alert: Alert, document: SinkDocument) -> dict[str, str]:
        """Return the sinks that heard of the alert, or may have, and want to hear of its end."""
        found: dict[str, str] = {}
        for delivery in self._record.of_alerts([alert.id]).get(alert.id, []):
            entry = document.find(delivery.sink)
            if delivery.occasion is Occasion.FIRING and delivery.was_told and entry is not None and entry.resolved:
                found[delivery.sink] = delivery.group
        return found
